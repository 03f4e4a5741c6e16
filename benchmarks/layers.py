"""layers: each layer's forward and backward, and how close they come to the limits of the machine."""
from benchmarks.layer_cases import Case, cases, least_work, upstream
from benchmarks.plan import Plan
from benchmarks.roofline import Work, bound
from benchmarks.table import Table, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Effort, Times, measure
from npgpt.parallel.blas import blas_threads

EFFORT = Effort(warmup=2, least=7, seconds=0.5)
SHORT_EFFORT = Effort(warmup=1, least=3, seconds=0.03)
COLUMNS = (("layer", -21), ("pass", -8), ("ms", 8), ("spread", 6), ("GFLOP/s", 8), ("GB/s", 7),
           ("bound by", 8), ("share", 6))


def run(plan: Plan) -> dict:
    """Print a table for each shape  ->  {shape: {layer: {pass: figures}}}"""
    effort = SHORT_EFFORT if plan.short else EFFORT
    paragraph(f"One thread, BLAS limited to one. Medians of calls: {effort}.")
    paragraph("""GFLOP/s counts the matrix products alone, for causal attention only the pairs that the mask keeps. GB/s
        counts the bytes that have to be moved: arguments read once, results written once. At the machine's peaks for one
        thread, each of the two takes some time; the longer one bounds the layer, and share is that time divided by the
        measured one. Above 100% the arrays came from the caches, which are faster than memory.""")
    results = {}
    with blas_threads(1):
        for shape in plan.shapes:
            print(f"\n{shape.title}\n")
            table = Table(*COLUMNS)
            results[shape.name] = {case.layer: measure_case(case, effort, plan, table) for case in cases(shape)}
    return results


def measure_case(case: Case, effort: Effort, plan: Plan, table: Table) -> dict:
    """Print a row for each pass  ->  {pass: figures}"""
    y, cache = case.forward()
    dy = upstream(y)
    work = least_work(case, y, dy, case.backward(dy, cache))
    del y
    results = {}
    for name, call in ("forward", case.forward), ("backward", lambda: case.backward(dy, cache)):
        times = measure(call, effort)
        found = results[name] = figures(times, work[name], plan)
        table.row(case.layer if name == "forward" else "", name, milliseconds(times), spread(times),
                  number(found["GFLOP/s"] if case.flops else None), number(found["GB/s"]), found["bound by"],
                  percent(found["share"]))
    return results


def figures(times: Times, work: Work, plan: Plan) -> dict:
    least, limit = bound(work, plan.peaks[1].flops, plan.peaks[1].bandwidth)
    return {**times.figures(), "flops": work.flops, "bytes": work.bytes, "bound by": limit,
            "GFLOP/s": work.flops / times.median / 1e9, "GB/s": work.bytes / times.median / 1e9,
            "share": least / times.median}
