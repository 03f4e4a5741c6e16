"""npgpt plot: draw how training went."""
import argparse
import sys

from npgpt.commands.arguments import OUT, path
from npgpt.files import destination, write_whole
from npgpt.inspection.metrics import read_run
from npgpt.inspection.page import in_bytes
from npgpt.inspection.plot_page import plot_page
from npgpt.inspection.plot_picture import plot_picture
from npgpt.inspection.terminal_curve import loss_curve
from npgpt.runs.metrics import METRICS_FILE
from npgpt.terminal import harmless


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=path, nargs="*", default=[OUT], metavar="RUN",
                        help=f"a model directory that npgpt train has written, or its {METRICS_FILE} (default: {OUT})")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--html", type=path, metavar="FILE",
                       help="write one page that opens in a browser without a network: training and validation loss, "
                            "learning rate and gradient norm of all runs; without it, the loss is drawn in the terminal")
    files.add_argument("--svg", type=path, metavar="FILE",
                       help="write one picture, in SVG: training and validation loss of all runs")


def run(args: argparse.Namespace) -> int:
    asked = args.html or args.svg
    file = asked and destination(asked)
    runs = [read_run(place) for place in dict.fromkeys(args.runs)]
    for one in runs:
        if one.skipped:
            print(f"npgpt: {harmless(one.skipped, sys.stderr)}", file=sys.stderr)
    if file:
        page = plot_page(runs) if args.html else plot_picture(runs)
        write_whole(file, [page])
        print(f"{harmless(str(asked), sys.stdout)}: {in_bytes(len(page))}; open it in a browser")
        return 0
    for i, one in enumerate(runs):
        print("\n" * (i > 0) + harmless(one.name, sys.stdout))
        print(loss_curve(one, sys.stdout.encoding))
    return 0
