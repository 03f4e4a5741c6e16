"""What the learner has done: a small file beside the exercises, with the hints that were given and what was right."""
from pathlib import Path

from npgpt.files import destination
from npgpt.json_files import read_json, write_json

NAME = ".npgpt-exercises.json"


def record_of(folder: Path, name: str) -> tuple[int, bool]:
    """How many hints were given in this folder, and whether the exercise is done."""
    entry = entries(folder).get(name)
    if not isinstance(entry, dict):
        return 0, False
    hints = entry.get("hints", 0)
    return hints if isinstance(hints, int) and hints > 0 else 0, entry.get("done") is True


def note(folder: Path, name: str, **changes: object) -> None:
    """Write down hints=N or done=True."""
    all_entries = entries(folder)
    entry = all_entries.get(name)
    all_entries[name] = {**(entry if isinstance(entry, dict) else {}), **changes}
    write_json(destination(folder / NAME), all_entries)


def entries(folder: Path) -> dict:
    """The file's content. Raises InputError if it is not a JSON object."""
    return read_json(folder / NAME) if (folder / NAME).is_file() else {}
