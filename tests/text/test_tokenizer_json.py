"""tokenizer.json, the file format of all tokenizers."""
import json

import pytest

from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer_json import TOKENIZER_FILE

FIELDS = ["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"]


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer("ab"), ByteTokenizer(), tokenizer_of_merges([(97, 98)])])
def test_the_file_has_all_fields_in_the_order_of_hugging_faces_tokenizers(tmp_path, tokenizer):
    tokenizer.save(tmp_path)
    assert list(json.loads((tmp_path / TOKENIZER_FILE).read_text())) == FIELDS
