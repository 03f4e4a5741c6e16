"""npgpt plot: draw how training went."""
import argparse
import sys

from npgpt.commands.arguments import OUT, path
from npgpt.files import write_whole
from npgpt.inspection.metrics import METRICS, read_run
from npgpt.inspection.page import in_bytes
from npgpt.inspection.plot_page import plot_page
from npgpt.inspection.terminal_curve import loss_curve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=path, nargs="*", default=[OUT], metavar="RUN",
                        help=f"a model directory that was trained here, or its {METRICS} (default: {OUT})")
    parser.add_argument("--html", type=path, metavar="FILE",
                        help="write one page that opens in a browser without a network: training and validation loss, "
                             "learning rate and gradient norm of all runs; without it, the loss is drawn here")


def run(args: argparse.Namespace) -> int:
    runs = [read_run(place) for place in dict.fromkeys(args.runs)]
    for one in runs:
        if one.left_out:
            print(f"npgpt: {one.left_out}", file=sys.stderr)
    if args.html:
        page = plot_page(runs)
        write_whole(args.html, [page])
        print(f"{args.html}: {in_bytes(len(page))}; open it in a browser")
        return 0
    for i, one in enumerate(runs):
        print("\n" * (i > 0) + one.name)
        print(loss_curve(one, sys.stdout.encoding))
    return 0
