"""npgpt gradcheck: hold every hand-written gradient against numerical ones, and show the errors."""
import argparse
import sys
import time

from npgpt.checking.catalogue import CASES, GPT_VARIANTS, NAMES, check_case, check_variant
from npgpt.checking.derivatives import IN_WORDS, METHODS, TOLERANCES
from npgpt.checking.report import HEADER, Report, comparison_row, table_row
from npgpt.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=f"which to check (default: all): {', '.join(NAMES)}")
    parser.add_argument("--method", choices=tuple(METHODS), help="complex step or central differences (default: both)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws the arguments (default: 0)")


def run(args: argparse.Namespace) -> int:
    unknown = [name for name in args.layers if name not in NAMES]
    if unknown:
        raise InputError(f"no layer is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    if args.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {args.seed}")
    methods = (args.method,) if args.method else tuple(METHODS)
    wanted = args.layers or NAMES
    start = time.perf_counter()

    print("Each hand-written gradient against numerical ones, in float64: the largest error of any entry,\n"
          "relative to the largest entry of the tensor.\n")
    print(HEADER + "\n" + "-" * len(HEADER))
    reports = []
    for case in CASES:
        if case.layer in wanted:
            reports.append(check_case(case, methods, args.seed))
            show(reports[-1])
    for variant in GPT_VARIANTS if "gpt" in wanted else ():
        reports.append(check_variant(variant, methods, args.seed))
        if variant == "gpt" or not reports[-1].right:
            show(reports[-1])
        else:
            print(summary(variant, reports[-1]), flush=True)

    print("\n" + conclusion(reports, methods, time.perf_counter() - start))
    return 0 if all(report.right for report in reports) else 1


def show(report: Report) -> None:
    """The rows of one case; its name stands on the first only. What is wrong is explained below."""
    for i, comparison in enumerate(report.comparisons):
        print(comparison_row(comparison if i == 0 else comparison._replace(layer="")))
    if not report.right:
        print(report.problems())
    sys.stdout.flush()


def summary(variant: str, report: Report) -> str:
    """One row for all parameters of a model."""
    entries = sum(comparison.analytic.size for comparison in report.comparisons)
    errors = {method: report.worst(method) for method in report.comparisons[0].numeric}
    return table_row(variant, f"all {len(report.comparisons)} parameters", f"{entries} entries", errors, "ok")


def conclusion(reports: list[Report], methods: tuple[str, ...], seconds: float) -> str:
    gradients = [comparison for report in reports for comparison in report.comparisons]
    wrong = sum(not comparison.right for comparison in gradients) + sum(len(report.breaches) for report in reports)
    largest = {method: max(report.worst(method) for report in reports) for method in methods}
    worst = " and ".join(f"{error:.1e} by {IN_WORDS[method]} (allowed {TOLERANCES[method]:.0e})"
                         for method, error in largest.items())
    return (f"{len(gradients)} gradients, {sum(comparison.analytic.size for comparison in gradients):,} entries, "
            f"{'all right' if not wrong else f'{wrong} WRONG'}; {seconds:.0f} s\nlargest error {worst}")
