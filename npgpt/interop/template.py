"""The special tokens around a text in tokenizer.json, so that transformers puts them there as npgpt does."""
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.tasks.inputs import SPECIAL, special_ids
from npgpt.tasks.masking import BEGIN, END
from npgpt.text.tokenizer import Tokenizer

START, DELIMITER, CLASSIFY, PAD = SPECIAL


def template(tokenizer: Tokenizer, context: int) -> dict[str, object]:
    """The fields of tokenizer.json that add [start], [delimiter] and [classify], cut texts to the context, the longest of a
    pair first, and fill up batches. Nothing for a tokenizer without these tokens.
    """
    special = special_ids(tokenizer)
    if special is None:
        return {}
    single = [token(START), text("A"), token(CLASSIFY)]
    pair = [token(START), text("A"), token(DELIMITER), text("B"), token(CLASSIFY)]
    tokens = {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in zip(SPECIAL, special)}
    return {"post_processor": {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens},
            "truncation": {"direction": "Right", "max_length": context, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": special.pad,
                        "pad_type_id": 0, "pad_token": PAD}}


def bert_template(tokenizer: Tokenizer) -> dict[str, object]:
    """The field of tokenizer.json that adds [CLS] and [SEP]. A second text is of segment 1. Nothing for a tokenizer without
    these tokens.
    """
    if not {BEGIN, END} <= tokenizer.special_tokens.keys():
        return {}
    single = [token(BEGIN), text("A"), token(END)]
    tokens = {name: {"id": name, "ids": [tokenizer.special_tokens[name]], "tokens": [name]} for name in (BEGIN, END)}
    pair = [*single, text("B", 1), token(END, 1)]
    return {"post_processor": {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}}


def ending_template(tokenizer: Tokenizer, config: EncoderDecoderConfig) -> dict[str, object]:
    """The field of tokenizer.json that adds the end token. Nothing for a tokenizer without this token."""
    ends = {name: i for name, i in tokenizer.special_tokens.items() if i in config.end_tokens[:1]}
    if not ends:
        return {}
    (name, i), = ends.items()
    single = [text("A"), token(name)]
    return {"post_processor": {"type": "TemplateProcessing", "single": single, "pair": [*single, text("B"), token(name)],
                               "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]}}}}


def token(name: str, segment: int = 0) -> dict:
    return {"SpecialToken": {"id": name, "type_id": segment}}


def text(which: str, segment: int = 0) -> dict:
    return {"Sequence": {"id": which, "type_id": segment}}
