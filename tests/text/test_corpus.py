"""The corpus: text files, token files, batches."""
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import seeds, write_tokens
from npgpt.errors import InputError
from npgpt.text.base_tokenizer import PIECE
from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import (encode_corpus, encode_text, every_batch, holds_token_files, open_token_folder, open_tokens,
                               python_documentation, random_batch, read_text, require_ids, require_length, split_text,
                               spread_batches)
from npgpt.text.raw_bytes import ByteTokenizer

sizes = st.integers(1, 7)


def write(path, data):
    path.write_bytes(data)
    return path


def test_the_texts_of_files_are_concatenated(tmp_path):
    paths = [write(tmp_path / "b", "é\r\n".encode()), write(tmp_path / "a", b"x")]
    assert read_text(paths) == "é\r\nx"


def test_a_byte_order_mark_at_the_beginning_of_a_file_is_not_text(tmp_path):
    paths = [write(tmp_path / name, "\ufeffa\ufeff".encode()) for name in "ab"]
    assert read_text(paths) == "a\ufeffa\ufeff"


def test_of_a_folder_the_text_files_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b.txt", "a.TXT", "c.text", ".d.txt", "README.md"):
        write(tmp_path / name, name[0].encode())
    (tmp_path / "e.txt").mkdir()
    assert read_text([tmp_path]) == "ab" and read_text([tmp_path, tmp_path / "c.text"]) == "abc"


def test_a_folder_without_text_files_says_what_is_read(tmp_path):
    write(tmp_path / "a.csv", b"text")
    with pytest.raises(InputError, match=rf"{tmp_path.name} holds no text files .*\.txt.*train\.bin"):
        read_text([tmp_path])


@pytest.mark.parametrize("name", ["train.bin", "val.bin"])
def test_token_files_are_not_joined_with_text(tmp_path, name):
    write(tmp_path / name, b"12")
    write(tmp_path / "a.txt", b"text")
    assert holds_token_files(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path.name} holds token ids"):
        read_text([tmp_path / "a.txt", tmp_path])


@pytest.mark.parametrize("data, complaint", [
    (b"", "is empty"),
    (b"\xef\xbb\xbf", "is empty"),
    (b"abc\0def", "zero byte at offset 3"),
    (b"abc\xffdef", "byte 0xff at offset 3; save the file as UTF-8"),
    (b"abc\xc3", "byte 0xc3 at offset 3; save the file as UTF-8"),
    ("café".encode("latin-1"), "byte 0xe9 at offset 3; save the file as UTF-8"),
    ("text".encode("utf-16"), "at offset 0; save the file as UTF-8"),
    (b"\xfe\xff\0t", "at offset 0; save the file as UTF-8"),
])
def test_a_file_that_is_not_text_is_named_with_the_reason(tmp_path, data, complaint):
    with pytest.raises(InputError, match=f"wrong.txt .*{complaint}"):
        read_text([write(tmp_path / "right.txt", b"text"), write(tmp_path / "wrong.txt", data)])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_text([tmp_path / "missing"])
    assert error.value.filename == str(tmp_path / "missing")


def test_pythons_documentation_is_english_prose():
    text = python_documentation()
    assert len(text) > 300_000 and "The \"if\" statement is used for conditional execution" in text


@given(st.text())
def test_the_first_nine_tenths_are_for_training(text):
    train, validation = split_text(text)
    assert train + validation == text and len(train) == int(len(text) * 0.9)


def test_a_corpus_is_split_before_it_is_encoded():
    """Therefore the validation text is the same for every tokenizer."""
    corpus = encode_corpus("é" * 9 + "ö", ByteTokenizer())
    assert ByteTokenizer().decode(corpus.train) == "é" * 9 and ByteTokenizer().decode(corpus.validation) == "ö"


@pytest.mark.parametrize("tokenizer, dtype", [(CharacterTokenizer("ab \n"), np.uint8), (ByteTokenizer(), np.uint8),
                                              (tokenizer_of_merges([(97, 98), (32, 97)]), np.uint16)])
@given(text=st.text("ab \n", max_size=60))
def test_a_long_text_is_encoded_in_pieces_into_the_smallest_integers(tokenizer, dtype, text):
    reports, corpus_reports = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npgpt.text.base_tokenizer.PIECE", 3)
        patch.setattr("npgpt.text.byte_pair.PIECE", 3)
        ids = encode_text(text, tokenizer, reports.append)
        corpus = encode_corpus(text, tokenizer, corpus_reports.append)
    assert ids.dtype == dtype and ids.tolist() == tokenizer.encode(text).tolist()
    assert corpus.bytes_in_memory == sum(map(len, corpus)) * dtype().itemsize
    assert [part.tolist() for part in corpus] == [tokenizer.encode(part).tolist() for part in split_text(text)]
    for counts in (reports, corpus_reports):
        assert counts == sorted(set(counts)) and counts[-1:] == [len(text)] * bool(text)


@pytest.mark.parametrize("line", ["the quick brown fox\n", "\u6a21\u578b 1 \U0001f917\n"])
def test_reading_and_encoding_take_little_more_memory_than_the_text(tmp_path, line):
    """Ids of 8 bytes alone would be 8 times as large as the first text."""
    path = write(tmp_path / "text", line.encode() * 200_000)
    tracemalloc.start()
    text = read_text([path])
    size, _ = tracemalloc.get_traced_memory()
    corpus = encode_corpus(text, CharacterTokenizer.of_text(text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(corpus.train) + len(corpus.validation) == len(line) * 200_000
    assert peak < 3.5 * size + 20 * PIECE


@pytest.mark.parametrize("position", [3, 97])
def test_the_error_for_an_unknown_character_gives_its_position_in_the_whole_text(position):
    text = "a" * position + "?" + "a" * (99 - position)
    with pytest.raises(InputError, match=f"at position {position} "):
        encode_corpus(text, CharacterTokenizer("a"))


@given(st.lists(st.integers(0, 0xFFFF), min_size=1))
def test_token_files_are_little_endian_uint16_without_a_header(tmp_path_factory, ids):
    data = b"".join(i.to_bytes(2, "little") for i in ids)
    assert open_tokens(write(tmp_path_factory.mktemp("tokens") / "tokens.bin", data)).tolist() == ids


def test_token_files_are_memory_mapped(tmp_path):
    with open(tmp_path / "tokens.bin", "wb") as file:
        file.truncate(2**36)                                   # a sparse file of 64 GB
    tokens = open_tokens(tmp_path / "tokens.bin")
    assert isinstance(tokens, np.memmap) and len(tokens) == 2**35 and tokens[-1] == 0


def test_the_array_of_a_token_file_is_read_only(tmp_path):
    tokens = open_tokens(write(tmp_path / "tokens.bin", b"1234"))
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 3


def test_a_token_folder_has_nanogpts_two_files(tmp_path):
    write_tokens(tmp_path, np.arange(3), np.array([4]))
    corpus = open_token_folder(tmp_path)
    assert corpus.train.tolist() == [0, 1, 2] and corpus.validation.tolist() == [4] and corpus.bytes_in_memory == 0


@pytest.mark.parametrize("data", [b"", b"123"])
def test_a_file_that_is_not_a_sequence_of_uint16_is_refused(tmp_path, data):
    with pytest.raises(InputError, match="tokens.bin is not a token file"):
        open_tokens(write(tmp_path / "tokens.bin", data))


def test_a_window_needs_one_token_more_than_its_length():
    require_length(np.zeros(9), 8, "text")
    with pytest.raises(InputError, match="the text has 8 tokens, and a context of 8 needs 9"):
        require_length(np.zeros(8), 8, "text")


def test_the_largest_id_must_be_in_the_vocabulary():
    require_ids(np.array([0, 4]), 5)
    with pytest.raises(InputError, match="token id 5, but the model's vocabulary is 0 to 4"):
        require_ids(np.array([0, 5, 1]), 5)


@given(sizes, sizes, sizes, seeds)
def test_random_batches_are_windows_and_the_tokens_that_follow(B, T, spare, seed):
    tokens = np.arange(100, 100 + T + spare, dtype=np.uint16)
    ids, targets = random_batch(tokens, B, T, np.random.default_rng(seed))
    assert ids.shape == targets.shape == (B, T) and ids.dtype == targets.dtype == np.int64
    np.testing.assert_array_equal(ids, ids[:, :1] + np.arange(T))
    np.testing.assert_array_equal(targets, ids + 1)
    assert tokens[0] <= ids.min() and targets.max() <= tokens[-1]


def test_random_batches_begin_at_every_position_where_a_window_fits():
    tokens = np.arange(10)
    ids, _ = random_batch(tokens, 1000, 4, np.random.default_rng(0))
    assert set(ids[:, 0]) == {0, 1, 2, 3, 4, 5}


def test_random_batches_depend_only_on_the_generator():
    tokens = np.arange(1000)
    first, same, other = (random_batch(tokens, 5, 4, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert (first == same).all() and (first != other).any()


@given(st.integers(2, 80), sizes, sizes)
def test_every_token_except_the_first_is_a_target_once_in_order(N, batch_size, length):
    tokens = np.random.default_rng(N).permutation(N).astype(np.uint16)
    batches = list(every_batch(tokens, batch_size, length))
    assert np.concatenate([targets.ravel() for _, targets in batches]).tolist() == tokens[1:].tolist()
    assert np.concatenate([ids.ravel() for ids, _ in batches]).tolist() == tokens[:-1].tolist()


@given(st.integers(2, 80), sizes, sizes)
def test_all_windows_are_full_except_a_last_one_in_its_own_batch(N, batch_size, length):
    windows, rest = divmod(N - 1, length)
    batches, few = divmod(windows, batch_size)
    expected = [(batch_size, length)] * batches + [(few, length)] * (few > 0) + [(1, rest)] * (rest > 0)
    assert [ids.shape for ids, _ in every_batch(np.arange(N), batch_size, length)] == expected


@pytest.mark.parametrize("N", [0, 1])
def test_a_text_without_a_second_token_has_no_batches(N):
    assert list(every_batch(np.arange(N), 2, 3)) == []


@given(st.integers(2, 300), st.integers(1, 5), st.integers(1, 9), st.integers(1, 100))
def test_a_sample_of_a_text_is_evenly_spread_and_of_a_short_text_all_of_it(N, B, T, most):
    tokens = np.arange(N)
    batches = list(spread_batches(tokens, B, T, most))
    assert all(len(ids) <= B and (targets == ids + 1).all() for ids, targets in batches)
    targets = np.concatenate([targets.ravel() for _, targets in batches])
    if N - 1 <= max(most, T):
        assert targets.tolist() == tokens[1:].tolist()
    else:
        assert len(set(targets)) == len(targets) == max(most // T, 1) * T
        starts = targets[::T] - 1
        assert starts[0] == 0 and (len(starts) == 1 or starts[-1] == N - 1 - T)
        assert np.ptp(np.diff(starts)) <= 1 if len(starts) > 1 else True
