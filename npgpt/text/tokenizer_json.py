"""tokenizer.json: the file in which Hugging Face's tokenizers keep a tokenizer of any kind."""
from collections.abc import Sequence
from pathlib import Path

from npgpt.files import write_json

TOKENIZER_FILE = "tokenizer.json"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def write_tokenizer_json(folder: Path, pre_tokenizer: dict, decoder: dict, model: dict,
                         added_tokens: Sequence[dict] = ()) -> None:
    """How a text is cut, what makes tokens of its pieces, and what joins them again. Nothing is done to it otherwise."""
    write_json(Path(folder) / TOKENIZER_FILE, {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens), "normalizer": None,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder, "model": model})
