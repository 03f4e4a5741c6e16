"""Files of examples: eight kinds, in JSON lines, CSV and TSV; what is wrong in a file is found, with its line."""
import csv
import json

import pytest
from hypothesis import given, strategies as st

from helpers import damaged
from npgpt.errors import InputError
from npgpt.text.example_files import FILE_LIMIT, LINE_LIMIT, read_examples
from npgpt.text.examples import (LABELS, Answer, ChoiceExample, OpenQuestionExample, PairExample, PassageExample,
                                 QuestionExample, TaggedExample, TextExample, TranslationExample, labels_of)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(str.strip)
KINDS = [
    ({"text": "fine", "label": "good"}, TextExample("fine", "good", 1)),
    ({"sentence1": "a", "sentence2": "b", "label": 0}, PairExample("a", "b", 0, 1)),
    ({"context": "2 + 2", "choices": ["five", "four"], "answer": 1}, ChoiceExample("2 + 2", ("five", "four"), 1, 1)),
    ({"tokens": ["Ada", "spoke"], "tags": ["B-PER", "O"]}, TaggedExample(("Ada", "spoke"), ("B-PER", "O"), 1)),
    ({"question": "Who?", "context": "Ada spoke. Ada left.", "answers": "Ada"},
     QuestionExample("Who?", "Ada spoke. Ada left.", (Answer("Ada", 0),), 1)),
    ({"question": "Is it late?", "answers": ["yes", "it is"]},
     OpenQuestionExample("Is it late?", (Answer("yes", -1), Answer("it is", -1)), 1)),
    ({"source": "cat", "target": "Katze"}, TranslationExample("cat", "Katze", 1)),
    ({"text": "The cat sat on the mat"}, PassageExample("The cat sat on the mat", 1)),
]


@pytest.fixture
def read(tmp_path):
    """A function that writes a file and reads its examples."""
    def written(content, name="data.jsonl"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_examples(path)
    return written


def json_lines(*objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


@pytest.mark.parametrize("fields, example", KINDS)
def test_the_kind_of_a_json_line_is_known_by_its_fields(read, fields, example):
    assert read(json_lines(fields)) == [example]
    assert read(json_lines(fields, {**fields, "id": "7", "idx": 3, "title": None})) == [example, example._replace(line=2)]


@pytest.mark.parametrize("name, dialect", [("data.csv", "excel"), ("DATA.TSV", "excel-tab")])
@pytest.mark.parametrize("fields, example", KINDS)
def test_tables_have_the_fields_in_their_heading_and_lists_as_json(tmp_path, name, dialect, fields, example):
    with open(tmp_path / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, dialect)
        writer.writerows([fields, [json.dumps(cell) if isinstance(cell, list) else cell for cell in fields.values()]])
    assert read_examples(tmp_path / name) == [example._replace(line=2)]


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_every_text_comes_back_from_every_format(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("examples")
    lines = json_lines(*({"source": source, "target": target} for source, target in pairs))
    (folder / "data.jsonl").write_text(lines, encoding="utf-8")
    for name, dialect in (("data.csv", "excel"), ("data.tsv", "excel-tab")):
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, dialect).writerows([("source", "target"), *pairs])
    for path in folder.iterdir():
        assert [example[:2] for example in read_examples(path)] == pairs


def test_blank_lines_and_a_byte_order_mark_are_skipped_and_lines_counted(read):
    assert [one.line for one in read('\ufeff{"text": "a", "label": "x"}\r\n\n  \n{"text": "b", "label": "y"}')] == [1, 4]
    table = '\ufeff text ,label\n\n"a\nb",x\n\nc,y\n'
    assert read(table, "data.csv") == [TextExample("a\nb", "x", 3), TextExample("c", "y", 6)]


@pytest.mark.parametrize("answers, read_as", [
    ("ab", [(0, "ab")]), (["ab", "b"], [(0, "ab"), (1, "b")]), ([], []),
    ({"text": ["ab"], "answer_start": [3]}, [(3, "ab")]), ({"text": [], "answer_start": []}, []),
    ({"text": "ab", "answer_start": 3}, [(3, "ab")]), ([{"text": "b", "answer_start": 4}, "a"], [(4, "b"), (0, "a")]),
])
def test_answers_may_be_squads_or_texts_alone(read, answers, read_as):
    example, = read(json_lines({"question": "q", "context": "ab ab", "answers": answers}))
    assert [(answer.start, answer.text) for answer in example.answers] == read_as


@pytest.mark.parametrize("cells, values, numeric", [
    ("b a b", ["a", "b"], False), ("1 0 1", [0, 1], True), ("0.5 2 -1e1", [-10.0, 0.5, 2.0], True),
    ("1 nan x", ["1", "nan", "x"], False), ("1_0 2", ["1_0", "2"], False),
])
def test_labels_of_a_table_are_numbers_if_all_can_be_read_so(read, cells, values, numeric):
    labels = labels_of(read("text,label\n" + "".join(f"t,{cell}\n" for cell in cells.split()), "data.csv"))
    assert labels == (values, numeric) and {*map(type, labels.values)} == {type(values[0])}


def test_whole_numbers_among_fractions_are_fractions(read):
    labels = [example.label for example in read(json_lines({"text": "a", "label": 3}, {"text": "b", "label": 2.5}))]
    assert labels == [3, 2.5] and {*map(type, labels)} == {float}


def test_the_labels_of_tagged_texts_are_their_tags(read):
    assert labels_of(read(json_lines(KINDS[3][0]))) == (["B-PER", "O"], False)


def test_so_many_labels_are_no_classes():
    examples = [TextExample("t", label, 1) for label in range(LABELS + 1)]
    assert len(labels_of(examples[1:]).values) == LABELS
    with pytest.raises(InputError, match="1,001 different labels"):
        labels_of(examples)
    assert labels_of([one._replace(label=float(one.label)) for one in examples]).numeric


TEXT, CHOICE = {"text": "a", "label": "x"}, {"context": "c", "choices": ["a", "b"], "answer": 0}
TAGGED, QUESTION = {"tokens": ["a"], "tags": ["O"]}, {"question": "q", "context": "abc", "answers": "b"}


@pytest.mark.parametrize("wrong, complaint", [
    ({"text": "a", "lable": "b"}, "text, label were expected, found text, lable"),
    ({**TEXT, "source": "b"}, "text, label were expected, found text, label, source"),
    ({"foo": 1}, "found the fields foo; they can be text, label; or "),
    ({}, "found the fields .none."),
    ({"line": 1}, "found the fields line"),
    ({**TEXT, "text": 5}, "text must be text, found 5"),
    ({**TEXT, "text": None}, "text must be text, found null"),
    ({**TEXT, "text": " \n"}, "text is empty"),
    ({**TEXT, "text": "\ud800"}, "text has half of a surrogate pair"),
    ({**TEXT, "label": True}, "label must be text or a number, found true"),
    ({**TEXT, "label": ["x"]}, "label must be text or a number"),
    ({**TEXT, "label": ""}, "label is empty"),
    ({**TEXT, "label": "a\x1b[2J"}, "label has the control character"),
    ({**TEXT, "label": 10**400}, "label must be a finite number"),
    ({**CHOICE, "answer": 2}, "answer is 2, but the choices are 0 to 1"),
    ({**CHOICE, "answer": -1}, "answer must be a whole number, 0 or more, found -1"),
    ({**CHOICE, "answer": True}, "answer must be a whole number, 0 or more, found true"),
    ({**CHOICE, "answer": "a"}, "answer must be a whole number"),
    ({**CHOICE, "choices": ["a", " "]}, r"choices\[1\] is empty"),
    ({**CHOICE, "choices": ["a"]}, "choices has a single text"),
    ({**CHOICE, "choices": "ab"}, "choices must be a list of texts"),
    ({**TAGGED, "tags": ["O", "O"]}, "1 tokens and 2 tags"),
    ({**TAGGED, "tokens": [], "tags": []}, r"tokens must be a list of texts, found \[\]"),
    ({**TAGGED, "tags": [0]}, r"tags\[0\] must be text, found 0"),
    ({**TAGGED, "tokens": [""]}, r"tokens\[0\] is empty"),
    ({**QUESTION, "answers": "z"}, 'the answer "z" is not in the context'),
    ({**QUESTION, "answers": ["b", ""]}, r"answers\[1\] is empty"),
    ({**QUESTION, "answers": None}, "answers must be text, or an object with text and answer_start, found null"),
    ({**QUESTION, "answers": {"text": ["b"], "answer_start": [2]}}, "not at character 2 of the context, but at 1"),
    ({**QUESTION, "answers": {"text": ["b"], "answer_start": [10**30]}}, "not at character"),
    ({**QUESTION, "answers": {"text": ["b"]}}, "answer_start must be a list of as many numbers"),
    ({**QUESTION, "answers": {"text": "b", "answer_start": -1}}, "answer_start must be a whole number"),
])
def test_wrong_fields_are_named_with_their_line_and_what_would_be_right(read, wrong, complaint):
    with pytest.raises(InputError, match=rf"data\.jsonl: line 2: .*{complaint}"):
        read("\n" + json_lines(wrong))


@pytest.mark.parametrize("second, complaint", [
    (json_lines({"source": "a", "target": "b"}), "text, label were expected, found source, target"),
    (json_lines({"text": "a", "label": 3}), "label is a number, but not in line 1"),
    ('{"text": "a", "label": NaN}', "NaN is not a JSON number"),
    ('{"text": "a", "label": 1e999}', "label must be a finite number.* found Infinity"),
    ('{"text": "a", "text": "b", "label": "x"}', "the key 'text' occurs twice"),
    ('{"text": "a\tb", "label": "x"}', "not valid JSON: Invalid control character at column 12$"),
    ('{"text": "a"', "not valid JSON: Expecting ',' delimiter at column 13$"),
    ("[1]", "each line must be a JSON object"),
    ("text,label", r"named \.csv or \.tsv"),
    ('{"text":' * 100_000, "nested too deeply"),
    (b'{"text": "\xe9", "label": "x"}', "not UTF-8 text .byte 0xe9 at offset 10 of the line.: save the file as UTF-8"),
    ('{"text": "a", "label": "x"}\0', "zero byte"),
    ('{"text": "' + "a" * LINE_LIMIT, "at most 1,048,576 bytes are read of a line"),
], ids=range(13))
def test_a_wrong_line_is_named(read, second, complaint):
    with pytest.raises(InputError, match=rf"data\.jsonl: line 2: .*{complaint}"):
        read(json_lines(TEXT).encode() + (second if isinstance(second, bytes) else second.encode()))


@pytest.mark.parametrize("table, line, complaint", [
    ("text,lable\na,b\n", 1, "text, label were expected, found text, lable"),
    ("text,label,text\n", 1, 'the heading has "text" twice'),
    ("text,label\na,x\n\nb\n", 4, "has 1 cells, but the heading has 2"),
    ("text,label\n,x\n", 2, "text is empty"),
    ("text,label\na,1\nb,inf\n", 3, "label must be a finite number"),
    ('text,label\n"a"b,x\n', 2, "quotes in it doubled"),
    ('text,label\n"a,x\nb,x\n', 2, "quotes in it doubled"),
    ("text,label\n" + "a" * 200_000 + ",x\n", 2, "a cell can have 131,072 characters"),
    ('context,choices,answer\nc,"[""a""",0\n', 2, 'choices must be JSON, such as .* found "'),
    ('context,choices,answer\nc,"[""a"", ""b""]",1.5\n', 2, "answer must be a whole number"),
], ids=range(10))
def test_what_is_wrong_in_a_table_is_named_with_the_line_that_its_row_starts_in(read, table, line, complaint):
    with pytest.raises(InputError, match=rf"data\.csv: line {line}: .*{complaint}"):
        read(table, "data.csv")


HUGE = "x" * 100_000


@pytest.mark.parametrize("name, content", [
    ("data.jsonl", json_lines({HUGE: 1})), ("data.jsonl", json_lines({**TEXT, HUGE: 1})),
    ("data.jsonl", json_lines({f"{HUGE}{i}": i for i in range(5)})), ("data.jsonl", f'{{"{HUGE}": 1, "{HUGE}": 2}}'),
    ("data.jsonl", json_lines({**TEXT, "label": [HUGE]})), ("data.csv", f"text,{HUGE}\n"), ("data.csv", f"{HUGE},{HUGE}\n"),
    ("data.csv", f'tokens,tags\n{HUGE},"[""O""]"\n')], ids=range(8))
def test_a_message_quotes_the_beginning_of_a_huge_value_only(read, name, content):
    with pytest.raises(InputError) as raised:
        read(content, name)
    assert "line" in str(raised.value) and len(str(raised.value)) < 1000


@pytest.mark.parametrize("name, content", [
    ("data.jsonl", ""), ("data.jsonl", "\n \n"), ("data.csv", ""), ("data.csv", "text,label\n")])
def test_a_file_without_examples_is_refused(read, name, content):
    with pytest.raises(InputError, match="no examples"):
        read(content, name)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_refused(read, encoding):
    with pytest.raises(InputError, match="line 1: .*save the file as UTF-8"):
        read('{"text": "é", "label": "x"}'.encode(encoding))


def test_a_file_without_end_is_not_read_for_ever(read, monkeypatch):
    monkeypatch.setattr("npgpt.text.example_files.FILE_LIMIT", 1000)
    with pytest.raises(InputError, match="line 1001: .* 1,000 of a file"):
        read("\n" * 2000)
    assert FILE_LIMIT > 10**8


@given(st.sampled_from(KINDS), st.data())
def test_a_damaged_file_is_examples_or_an_input_error(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("damaged") / data.draw(st.sampled_from(["data.jsonl", "data.csv"]))
    path.write_bytes(damaged(json_lines(kind[0], kind[0]).encode(), data))
    try:
        assert read_examples(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
