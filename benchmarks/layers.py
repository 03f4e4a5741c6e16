"""layers: each layer's forward and backward, and how near they come to what the machine can do."""
from benchmarks.layer_cases import Case, backward_work, cases, forward_work, upstream
from benchmarks.plan import Plan
from benchmarks.roofline import Work, bound
from benchmarks.shapes import SHAPES
from benchmarks.table import Table, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Effort, Times, measure
from npgpt.parallel.blas import blas_threads

EFFORT = Effort(warmup=2, least=7, seconds=0.5)
SHORT_EFFORT = Effort(warmup=1, least=3, seconds=0.03)
SHORT_SHAPES = ("small", "medium")
COLUMNS = (("layer", -21), ("pass", -8), ("ms", 8), ("spread", 6), ("GFLOP/s", 8), ("GB/s", 7),
           ("bound by", 8), ("share", 6))


def run(plan: Plan) -> dict:
    """Print a table for each shape  ->  {shape: {layer: {pass: figures}}}"""
    effort = SHORT_EFFORT if plan.short else EFFORT
    paragraph(f"One thread, BLAS held to one. Medians of calls: {effort}.")
    paragraph("""GFLOP/s counts the matrix products alone, of causal attention the pairs that the mask keeps. GB/s
        counts the bytes that must move at least: arguments read once, results written once. The larger of the
        two times that these take at the machine's peaks for one thread bounds the layer; share is that time of
        the measured one. Above 100% the arrays came from the caches, which are faster than memory.""")
    results = {}
    with blas_threads(1):
        for shape in SHAPES:
            if plan.short and shape.name not in SHORT_SHAPES:
                print(f"\n{shape.title}: left out of the short run")
                continue
            print(f"\n{shape.title}\n")
            table = Table(*COLUMNS)
            results[shape.name] = {case.name: measure_case(case, effort, plan, table) for case in cases(shape)}
    return results


def measure_case(case: Case, effort: Effort, plan: Plan, table: Table) -> dict:
    """{pass: figures}, and a row of the table for each."""
    y, cache = case.forward(*case.arguments, **case.settings)
    dy = upstream(y)
    gradients = case.backward(dy, cache)
    work = {"forward": forward_work(case, y), "backward": backward_work(case, dy, gradients)}
    del y, gradients
    calls = {"forward": lambda: case.forward(*case.arguments, **case.settings),
             "backward": lambda: case.backward(dy, cache)}
    results = {}
    for name, call in calls.items():
        times = measure(call, effort)
        results[name] = figures(times, work[name], plan)
        table.row(case.name if name == "forward" else "", name, *cells(times, results[name]))
    return results


def figures(times: Times, work: Work, plan: Plan) -> dict:
    least = bound(work, plan.peaks.flops[1], plan.peaks.bandwidth[1])
    return {**times.figures(), "flops": work.flops, "bytes": work.bytes, "bound by": least.by,
            "GFLOP/s": work.flops / times.median / 1e9, "GB/s": work.bytes / times.median / 1e9,
            "share": least.seconds / times.median}


def cells(times: Times, result: dict) -> list[str]:
    return [milliseconds(times), spread(times), number(result["GFLOP/s"]) if result["flops"] else "-",
            number(result["GB/s"]), result["bound by"], percent(result["share"])]
