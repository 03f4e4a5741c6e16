"""Tables in plain text, printed row by row as the figures come in: 100 columns wide, or a little more where a row names the
processor."""
import textwrap

from benchmarks.timing import Times

WIDTH = 100


class Table:
    """Columns are (title, width): a negative width aligns to the left. Two spaces are between them."""

    def __init__(self, *columns: tuple[str, int]) -> None:
        self.widths = [width for _, width in columns]
        self.row(*(title for title, _ in columns))
        print("-" * (sum(map(abs, self.widths)) + 2 * (len(columns) - 1)), flush=True)

    def row(self, *cells: str) -> None:
        pairs = zip(cells, self.widths, strict=True)
        padded = (cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in pairs)
        print("  ".join(padded).rstrip(), flush=True)


def number(value: float | None) -> str:
    """About three digits: 1,234  56.7  8.90  0.012. A dash for None, which means that it was not measured."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 or size == 0 else f"{value:.2g}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def milliseconds(times: Times | None) -> str:
    return number(times and 1e3 * times.median)


def spread(times: Times) -> str:
    """Half the distance between the quartiles, relative to the median: '±3%'."""
    return f"±{50 * (times.high - times.low) / times.median:.0f}%"


def megabytes(size: int | None) -> str:
    return number(size and size / 1e6)


def paragraph(text: str, label: str = "") -> None:
    """Print text after a label, in as many lines as it takes, all of them indented alike."""
    label = label and f"{label:9}"
    print(textwrap.fill(" ".join(text.split()), WIDTH, initial_indent=label, subsequent_indent=" " * len(label)), flush=True)
