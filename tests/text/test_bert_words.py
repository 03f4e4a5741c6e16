"""BERT's words, compared with those of Hugging Face's tokenizers: golden/make.py."""
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from npgpt.text.bert_words import BertNormalizer, pieces
from npgpt.text.unicode_classes import ranges

GOLDEN = json.loads((Path(__file__).parent / "golden" / "words.json").read_text())
texts = st.text(max_size=30) | st.text("aÉ́ \n\t\x85\u200b,中Σ", max_size=30)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("i", range(24))
def test_texts_are_normalised_and_split_as_by_tokenizers(i):
    for text, settings, normal, words in GOLDEN["cases"][i::24]:
        normalizer = BertNormalizer(**settings)
        assert (normalizer.normalize(text), list(normalizer.words(text))) == (normal, words)


def test_characters_of_all_of_unicode_are_normalised_and_split_as_by_tokenizers():
    points = [*range(0xD800), *range(0xE000, 0x20000), *range(0x20000, 0xE0000, 97), *range(0xE0000, 0xE0200)]
    assert len(points) == GOLDEN["points"]
    everything = "".join(f"a{chr(point)}b\n" for point in points)
    assert digest(BertNormalizer().normalize(everything)) == GOLDEN["normalised"]
    assert digest("\n".join(BertNormalizer().words(everything))) == GOLDEN["words"]


def test_words_in_short():
    expected = ["it", "'", "s", "a", "naive", "東", "京", "-", "text", "!"]
    assert list(BertNormalizer().words("It's a naïve\u200b 東京-Text!")) == expected
    assert list(BertNormalizer(lowercase=False).words("Naïve")) == ["Naïve"]
    assert list(BertNormalizer(lowercase=False, strip_accents=True).words("Naïve")) == ["Naive"]


def test_lone_surrogates_are_dropped_as_control_characters_are():
    assert list(BertNormalizer().words("a\ud800b \udfff")) == ["ab"]


@given(texts, st.integers(1, 9))
def test_the_words_of_the_pieces_are_those_of_the_text(text, size):
    normalizer = BertNormalizer()
    parts = list(pieces(text, size))
    assert "".join(parts) == text
    assert [word for part in parts for word in normalizer.words(part)] == list(normalizer.words(text))


@pytest.mark.parametrize("kind", ["controls", "marks", "punctuation", "starters"])
def test_tables_are_sorted_without_overlap(kind):
    points = [point for pair in ranges(kind) for point in pair]
    assert points == sorted(points)
