"""What transformers needs to know of a tokenizer: the roles of its special tokens, and where they stand around a text."""
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.heads import Head
from npgpt.tasks.inputs import SPECIAL, special_ids
from npgpt.tasks.masking import BEGIN, END
from npgpt.text.base_tokenizer import Tokenizer

START, DELIMITER, CLASSIFY, PAD = SPECIAL
# The special tokens whose names say what they are for.
ROLES = {"unk_token": ("<unk>", "[UNK]"), "pad_token": ("<pad>", "[PAD]"), "cls_token": ("[CLS]",), "sep_token": ("[SEP]",),
         "mask_token": ("<mask>", "[MASK]")}


def tokenizer_config(tokenizer: Tokenizer, config: TransformerConfig, inputs: tuple[str, ...]) -> dict[str, object]:
    """The content of tokenizer_config.json. inputs: the names of the model's inputs; none for transformers' default."""
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.n_positions,
            "clean_up_tokenization_spaces": False, **({"model_input_names": inputs} if inputs else {}),
            **named_special_tokens(tokenizer, config)}


def named_special_tokens(tokenizer: Tokenizer, config: TransformerConfig) -> dict[str, str]:
    """bos_token, eos_token, pad_token and those of ROLES, if they are special tokens of the tokenizer."""
    names = {token_id: token for token, token_id in tokenizer.special_tokens.items()}
    ids = {"bos_token": config.bos_token_id, "eos_token": next(iter(config.end_tokens), None),
           "pad_token": config.pad_token_id}
    return {**{role: token for role, tokens in ROLES.items() for token in tokens if token in tokenizer.special_tokens},
            **{role: names[token_id] for role, token_id in ids.items() if token_id in names}}


def labelled_template(tokenizer: Tokenizer, config: GPTConfig, heads: tuple[Head, ...]) -> dict[str, object]:
    """The fields of tokenizer.json that add [start], [delimiter] and [classify], cut texts to the context, the longest of a
    pair first, and fill up batches. Nothing for a model without heads for labelled examples, or without these tokens.
    """
    special = special_ids(tokenizer)
    if not heads or special is None:
        return {}
    single = [token(START), text("A"), token(CLASSIFY)]
    pair = [token(START), text("A"), token(DELIMITER), text("B"), token(CLASSIFY)]
    tokens = {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in zip(SPECIAL, special)}
    return {"post_processor": {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens},
            "truncation": {"direction": "Right", "max_length": config.n_positions, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": special.pad,
                        "pad_type_id": 0, "pad_token": PAD}}


def bert_template(tokenizer: Tokenizer, config: BertConfig, heads: tuple[Head, ...]) -> dict[str, object]:
    """The field of tokenizer.json that adds [CLS] and [SEP]. A second text is of segment 1. Nothing for a tokenizer without
    these tokens.
    """
    if not {BEGIN, END} <= tokenizer.special_tokens.keys():
        return {}
    single = [token(BEGIN), text("A"), token(END)]
    tokens = {name: {"id": name, "ids": [tokenizer.special_tokens[name]], "tokens": [name]} for name in (BEGIN, END)}
    pair = [*single, text("B", 1), token(END, 1)]
    return {"post_processor": {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}}


def ending_template(tokenizer: Tokenizer, config: EncoderDecoderConfig, heads: tuple[Head, ...]) -> dict[str, object]:
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
