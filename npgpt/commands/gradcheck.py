"""npgpt gradcheck: compare every hand-written gradient with numerical ones, and show the errors."""
import argparse
import sys
import time

from npgpt.checking import catalogue
from npgpt.checking.catalogue import CASES, GPT_VARIANTS, check_case, check_variant
from npgpt.checking.derivatives import IN_WORDS, METHODS, TOLERANCES
from npgpt.checking.report import HEADER, Report, comparison_row, table_row
from npgpt.checking.tasks import TASKS, check_task
from npgpt.errors import InputError

NAMES = [*catalogue.NAMES, *dict.fromkeys(name.partition(",")[0] for name in TASKS)]


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
        show(reports[-1], variant if variant != "gpt" and reports[-1].right else None)

    for name in TASKS:
        if name.partition(",")[0] in wanted:
            reports.append(check_task(name, methods, args.seed))
            show(reports[-1], name if reports[-1].right else None)

    gradients = [comparison for report in reports for comparison in report.comparisons]
    wrong = sum(not comparison.right for comparison in gradients) + sum(len(report.breaches) for report in reports)
    largest = " and ".join(f"{max(report.worst(method) for report in reports):.1e} by {IN_WORDS[method]} "
                           f"(allowed {TOLERANCES[method]:.0e})" for method in methods)
    print(f"\n{len(gradients)} gradients, {sum(comparison.analytic.size for comparison in gradients):,} entries, "
          f"{f'{wrong} WRONG' if wrong else 'all right'}; {time.perf_counter() - start:.0f} s\nlargest error {largest}")
    return 1 if wrong else 0


def show(report: Report, variant: str | None = None) -> None:
    """A row for each gradient, the first with the name of the case, and what is wrong; for a variant, one row for all."""
    if variant:
        entries = sum(comparison.analytic.size for comparison in report.comparisons)
        errors = {method: report.worst(method) for method in report.comparisons[0].numeric}
        print(table_row(variant, f"all {len(report.comparisons)} parameters", f"{entries} entries", errors, "ok"))
    else:
        for i, comparison in enumerate(report.comparisons):
            print(comparison_row(comparison if i == 0 else comparison._replace(layer="")))
    if not report.right:
        print(report.problems())
    sys.stdout.flush()
