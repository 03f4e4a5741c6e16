"""Files of examples: JSON lines, or CSV and TSV with a heading, read and checked line by line."""
import contextlib
import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from npgpt.errors import InputError
from npgpt.json_files import parse_json
from npgpt.text.example_fields import described, kind_of, make_example, read_label
from npgpt.text.examples import Example

SEPARATORS = {".csv": ",", ".tsv": "\t"}        # all other files have JSON lines
LINE_LIMIT, FILE_LIMIT = 2**20, 2**28           # bytes
Row = tuple[int, dict[str, Any]]                # the line that it starts in, and its fields


def read_examples(path: Path) -> list[Example]:
    """All examples of a file. Every line is a JSON object with the fields of one kind of example; or, if the file's name
    ends in .csv or .tsv, the fields are in the heading, and lists are JSON in a cell. Blank lines, a byte order mark, and
    the fields id, idx and title are skipped. The labels are all strings, all whole numbers, or all floats.

    Raises InputError, naming the line, for anything else, for a line above 1 MiB, and for a file above 256 MiB.
    """
    path = Path(path)
    separator = SEPARATORS.get(path.suffix.lower())
    examples, kind = [], None
    for line, fields in separated_rows(path, separator) if separator else json_rows(path):
        where = f"{path}: line {line}"
        kind = kind or kind_of(fields, where)
        examples.append(make_example(kind, fields, line, where))
    if not examples:
        raise InputError(f'{path}: no examples: give one in each line, such as {{"text": "A fine day.", "label": "good"}}')
    return with_comparable_labels(examples, path, cells=separator is not None) if "label" in kind._fields else examples


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, each with its number."""
    size = 0
    with open(path, "rb") as file:
        for number in itertools.count(1):
            line, where = file.readline(LINE_LIMIT + 1), f"{path}: line {number}"
            size += len(line)
            if not line:
                return
            if len(line) > LINE_LIMIT or size > FILE_LIMIT:
                raise InputError(f"{where}: at most {LINE_LIMIT:,} bytes are read of a line, and {FILE_LIMIT:,} of a file: "
                                 "cut or split what is longer")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{where}: not UTF-8 text (byte 0x{line[error.start]:02x} at offset {error.start} of the "
                                 "line): save the file as UTF-8") from None
            if "\0" in text:
                raise InputError(f"{where}: has a zero byte, which no text has: save the file as UTF-8")
            yield number, text


def json_rows(path: Path) -> Iterator[Row]:
    for number, text in lines(path):
        where = f"{path}: line {number}"
        if text.lstrip()[:1] not in ("", "{"):
            raise InputError(f"{where}: each line must be a JSON object, from {{ to }} (a table with commas or tabs must be "
                             "named .csv or .tsv)")
        if text.strip():
            yield number, parse_line(text, where)


def parse_line(text: str, where: str) -> dict[str, Any]:
    """The JSON object in a line. Errors give the line of the file, and not line 1 of the JSON."""
    try:
        return parse_json(text.encode(), where)
    except InputError as error:
        raise InputError(re.sub(r"( at)?: line 1 column (\d+) \(char \d+\)$", r" at column \2", str(error))) from None


def separated_rows(path: Path, separator: str) -> Iterator[Row]:
    reader = csv.reader((text for _, text in lines(path)), delimiter=separator, strict=True)
    heading = None
    while True:
        number = reader.line_num + 1
        where = f"{path}: line {number}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{where}: {error}: a cell can have {csv.field_size_limit():,} characters (a line of JSON "
                             f"{LINE_LIMIT:,} bytes); one with quotes, separators or line breaks must be in double quotes, "
                             "and the quotes in it doubled") from None
        if cells is None:
            return
        if len(cells) <= 1 and not "".join(cells).strip():
            continue
        if heading is None:
            heading = read_heading(cells, where)
        elif len(cells) != len(heading):
            raise InputError(f"{where}: has {len(cells)} cells, but the heading has {len(heading)}: a cell with separators "
                             "must be in double quotes")
        else:
            yield number, {name: cell_value(name, cell, where) for name, cell in zip(heading, cells)}


def read_heading(cells: list[str], where: str) -> list[str]:
    heading = [cell.strip() for cell in cells]
    (name, count), = Counter(heading).most_common(1)
    if count > 1:
        raise InputError(f"{where}: the heading has {described(name)} twice")
    kind_of(heading, where)
    return heading


def cell_value(name: str, cell: str, where: str) -> Any:
    """What JSON would have in the place of a cell."""
    if name in ("choices", "tokens", "tags") or name == "answers" and cell.lstrip().startswith(("[", "{")):
        try:
            return parse_json(f'{{"{name}": {cell}}}'.encode(), where)[name]
        except InputError:
            raise InputError(f'{where}: {name} must be JSON, such as ["one", "two"], found {described(cell)}') from None
    if name == "answer" and (number := number_in(cell)) is not None:
        return number
    return cell


def with_comparable_labels(examples: list[Example], path: Path, cells: bool) -> list[Example]:
    """Examples whose labels are all text, all whole numbers, or all floats. Labels from cells are numbers if all of them can
    be read as numbers.
    """
    labels = [example.label for example in examples]
    if cells and None not in (numbers := [*map(number_in, labels)]):
        labels = [read_label(f"{path}: line {example.line}: label", number) for example, number in zip(examples, numbers)]
    types = [*map(type, labels)]
    if str in types and {*types} != {str}:
        odd = next(i for i, found in enumerate(types) if (found is str) != (types[0] is str))
        kind = "text" if types[odd] is str else "a number"
        raise InputError(f"{path}: line {examples[odd].line}: label is {kind}, but not in line {examples[0].line}: all must "
                         "be text, or all numbers")
    common = float if float in types else types[0]
    return [example._replace(label=common(label)) for example, label in zip(examples, labels)]


def number_in(cell: str) -> int | float | None:
    """The number that a cell has; None if it is another text."""
    if cell.isascii() and "_" not in cell:                     # Python takes 1_000 for a number
        for number in (int, float):
            with contextlib.suppress(ValueError):
                return number(cell)
    return None
