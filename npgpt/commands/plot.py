"""npgpt plot: draw how training went."""
import argparse
import sys

from npgpt.commands.arguments import OUT, path
from npgpt.files import destination, write_whole
from npgpt.inspection.metrics import read_run
from npgpt.inspection.page import in_bytes
from npgpt.inspection.plot_page import plot_page
from npgpt.inspection.terminal_curve import loss_curve
from npgpt.runs.metrics import METRICS_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=path, nargs="*", default=[OUT], metavar="RUN",
                        help=f"a model directory that npgpt train has written, or its {METRICS_FILE} (default: {OUT})")
    parser.add_argument("--html", type=path, metavar="FILE",
                        help="write one page that opens in a browser without a network: training and validation loss, "
                             "learning rate and gradient norm of all runs; without it, the loss is drawn in the terminal")


def run(args: argparse.Namespace) -> int:
    html = args.html and destination(args.html)
    runs = [read_run(place) for place in dict.fromkeys(args.runs)]
    for one in runs:
        if one.skipped:
            print(f"npgpt: {one.skipped}", file=sys.stderr)
    if html:
        page = plot_page(runs)
        write_whole(html, [page])
        print(f"{args.html}: {in_bytes(len(page))}; open it in a browser")
        return 0
    for i, one in enumerate(runs):
        print("\n" * (i > 0) + one.name)
        print(loss_curve(one, sys.stdout.encoding))
    return 0
