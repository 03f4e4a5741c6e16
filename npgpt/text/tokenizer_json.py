"""tokenizer.json: the file format of Hugging Face's tokenizers library, for every kind of tokenizer."""
from collections.abc import Sequence
from pathlib import Path

from npgpt.files import write_json

TOKENIZER_FILE = "tokenizer.json"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def write_tokenizer_json(folder: Path, pre_tokenizer: dict, decoder: dict, model: dict,
                         added_tokens: Sequence[dict] = ()) -> None:
    """Write tokenizer.json: pre_tokenizer splits a text into words, model turns words into tokens, and decoder joins
    tokens to a text. The format's other steps are null.
    """
    write_json(Path(folder) / TOKENIZER_FILE, {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens), "normalizer": None,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder, "model": model})
