"""The command line: `python -m benchmarks [NAME ...]`. Each benchmark is a file beside this one."""
import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (attention_band, generate, layers, scaling, scoring, train, versus_marian, versus_torch,
                        versus_transformers)
from benchmarks.machine import describe, measure_peaks, print_peaks
from benchmarks.shapes import SHAPES, Plan
from benchmarks.table import WIDTH, paragraph
from npgpt.parallel.memory import keep_freed_memory
from npgpt.parallel.threads import available_cores

BENCHMARKS = {"layers": layers, "train": train, "generate": generate, "scaling": scaling,
              "attention_band": attention_band, "versus_torch": versus_torch, "versus_transformers": versus_transformers,
              "versus_marian": versus_marian, "scoring": scoring}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks  ->  exit status: 0, 2 for an error that the user can correct, 130 after Ctrl-C"""
    parser = make_parser()
    args = parser.parse_args(arguments)
    shapes = [shape.name for shape in SHAPES]
    args.shapes = [name for name in args.names if name in shapes]
    args.names = [name for name in args.names if name not in shapes]
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark or shape is called {unknown[0]!r}; there are {', '.join([*BENCHMARKS, *shapes])}")
    if args.threads < 1:
        parser.error(f"--threads must be 1 or more, not {args.threads}")
    try:
        save({}, args.json)                     # an error now is better than one after ten minutes of measuring
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    try:
        run(args)
    except KeyboardInterrupt:
        print(f"\ninterrupted; complete benchmarks are in {args.json}" if args.json else "\ninterrupted", file=sys.stderr)
        return 130
    return 0


def run(args: argparse.Namespace) -> None:
    """Print all figures as they come. The file of --json is written again after each benchmark."""
    start = time.perf_counter()
    machine = describe(args.threads)
    for name, value in machine.items():
        paragraph(value, name)
    peaks = measure_peaks(args.threads)
    print_peaks(peaks)
    if keep_freed_memory():
        paragraph("freed memory stays with the process, as in training", "memory")
    if args.short:
        paragraph("a short run: the largest shape is left out", "shapes")
    plan = Plan(args.short, args.threads, args.torch_python, peaks, args.shapes)
    document = {"machine": machine, "short": args.short, "results": {},
                "peaks": {str(threads): peak.figures() for threads, peak in peaks.items()}}
    for name in args.names or BENCHMARKS:
        print(f"\n{'=' * WIDTH}\n{BENCHMARKS[name].__doc__.strip()}\n", flush=True)
        document["results"][name] = BENCHMARKS[name].run(plan)
        save(document, args.json)
    print(f"\n{time.perf_counter() - start:.0f} s in all")


def save(document: dict, file: Path | None) -> None:
    if file:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def absolute(program: str) -> str:
    """An absolute path, because peers start in another folder. A name without a folder is left to the search path."""
    return os.path.abspath(program) if os.path.dirname(program) else program


def make_parser() -> argparse.ArgumentParser:
    summaries = [module.__doc__.strip().partition(": ") for module in BENCHMARKS.values()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure npgpt on this machine. Only npgpt and NumPy are needed; versus_torch also needs PyTorch,\n"
                    "versus_transformers, versus_marian and scoring also transformers, and they are left out where\n"
                    "there are none. Start with: python -m benchmarks --short",
        epilog="benchmarks:\n" + "\n".join(f"  {name:20}{text}" for name, _, text in summaries)
               + "\n\nExperiments are programs of their own, such as python -m benchmarks.in_context DIR:\n"
                 "benchmarks/README.md lists them. Other work on the machine changes the figures: each is shown\n"
                 "with its spread.")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="which benchmarks to run (default: all, in the order below), and on which shapes "
                             f"({', '.join(shape.name for shape in SHAPES)}; default: all that suit)")
    parser.add_argument("--short", action="store_true", help="fewer shapes and repeats: about a minute in all")
    parser.add_argument("--threads", type=int, default=available_cores(), metavar="N",
                        help=f"the most threads to use (default: all cores, here {available_cores()})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure to FILE")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PATH", type=absolute,
                        help="a Python that has torch and transformers, for the benchmarks that need them (default: "
                             "this one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
