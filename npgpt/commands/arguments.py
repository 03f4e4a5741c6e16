"""What the arguments of several commands share."""
import argparse
from pathlib import Path

OUT = Path("out")    # where npgpt train leaves its model, and where the other commands look for it
LIMIT = 10**9    # Python's integers have no limit, NumPy's sizes do


def path(text: str) -> Path:
    """The name of a file or folder. An empty one, as a shell makes of a variable that is not set, is a mistake."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a file or folder was expected, not nothing")
    return Path(text)


def count(text: str) -> int:
    """A whole number of modest size. Its least value is checked where it is used, where its meaning is known."""
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value > LIMIT:
        raise argparse.ArgumentTypeError(f"a whole number of at most {LIMIT:,} was expected, not {text}")
    return value
