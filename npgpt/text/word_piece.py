"""WordPiece, BERT's tokenizer: each word is divided into the longest parts that the vocabulary has, from left to right.

A part that continues a word is written with ## before it. Results are those of BertTokenizer of Hugging Face's transformers,
which follows Google's code (Devlin et al. 2019), without [CLS] and [SEP] around the text.
"""
from collections.abc import Iterable, Mapping
from pathlib import Path

from npgpt.errors import InputError
from npgpt.json_files import JSON_LIMIT, read_json
from npgpt.text.bert_words import BertNormalizer
from npgpt.text.vocabulary import quote
from npgpt.text.word_tokenizer import NORMALIZER, Content, WordTokenizer, parse_normalizer, parse_word_tokenizer

VOCABULARY_TEXT, CONFIG = "vocab.txt", "tokenizer_config.json"
PREFIX, LONGEST_WORD = "##", 100
MODEL = {"type": "WordPiece", "continuing_subword_prefix": PREFIX, "max_input_chars_per_word": LONGEST_WORD}
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
# What the decoder of tokenizers joins to the word before: marks, and the contractions of English.
WITHOUT_SPACE = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'", " n't": "n't", " 'm": "'m",
                 " do not": " don't", " 's": "'s", " 've": "'ve", " 're": "'re"}


class WordPieceTokenizer(WordTokenizer):
    """A vocabulary {token: id}. A word of more than 100 characters, or with a part that is not in the vocabulary, becomes
    `unknown` as a whole. Raises InputError for an inconsistent vocabulary.
    """

    decoder = {"type": "WordPiece", "prefix": PREFIX, "cleanup": True}

    def __init__(self, vocabulary: Mapping[str, int], special_tokens: Iterable[str] = tuple(SPECIAL.values()),
                 unknown: str = SPECIAL["unk_token"], normalizer: BertNormalizer = BertNormalizer()) -> None:
        super().__init__(vocabulary, special_tokens, unknown, normalizer)
        self.token_bytes = [continued(token).encode() for token in self.vocabulary]
        self._longest = max(map(len, self.vocabulary))

    @classmethod
    def of_json(cls, description: dict) -> "WordPieceTokenizer":
        """The tokenizer that tokenizer.json describes. Raises InputError."""
        return cls(*parse_word_tokenizer(description, MODEL, cls.decoder))

    def encode_word(self, word: str) -> list[int]:
        unknown = [self.special_tokens[self.unknown]]
        if len(word) > LONGEST_WORD:
            return unknown
        ids, start = [], 0
        while start < len(word):
            prefix = PREFIX if start else ""
            for stop in range(min(len(word), start + self._longest), start, -1):
                i = self.ids.get(prefix + word[start:stop])
                if i is not None:
                    break
            else:
                return unknown
            ids.append(i)
            start = stop
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """ids  ->  words with single spaces between them, none before . ? ! and a comma. Raises InputError for an id
        outside the vocabulary.
        """
        ids = list(ids)
        self.decode_bytes(ids)
        return "".join([joined(self.vocabulary[i]) for i in ids[:1]]) + super().decode(ids[1:])

    def bytes_of_special(self, token: str) -> bytes:
        return continued(token).encode()

    def model_json(self) -> dict:
        return {**MODEL, "unk_token": self.unknown}


def symbols(word: str) -> list[str]:
    """The tokens of one character that a word consists of."""
    return [word[0], *(PREFIX + character for character in word[1:])]


def continued(token: str) -> str:
    """What a token adds to a text that has begun."""
    return joined(token.removeprefix(PREFIX) if token.startswith(PREFIX) else " " + token)


def joined(text: str) -> str:
    for spaced, close in WITHOUT_SPACE.items():
        text = text.replace(spaced, close)
    return text


def read_vocabulary_text(folder: Path) -> Content:
    """Read vocab.txt, which has a line for each token, and the settings in tokenizer_config.json, if there is one. Raises
    InputError.
    """
    path = folder / VOCABULARY_TEXT
    if path.stat().st_size > JSON_LIMIT:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes are too many for a vocabulary (at most {JSON_LIMIT:,})")
    try:
        tokens = path.read_text("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at offset {error.start}") from None
    vocabulary: dict[str, int] = {}
    for i, token in enumerate(tokens):
        if vocabulary.setdefault(token, i) != i:
            raise InputError(f"{path}: line {i + 1}: the token {quote(token)} occurs twice")
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    named = {role: name_of(config.get(role), default) for role, default in SPECIAL.items()}
    normalizer = parse_normalizer({**NORMALIZER, "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
                                   "strip_accents": config.get("strip_accents"),
                                   "lowercase": config.get("do_lower_case", True)})
    return Content(vocabulary, [token for token in named.values() if token in vocabulary], named["unk_token"], normalizer)


def name_of(special_token: object, default: str) -> str:
    """The name of a special token in tokenizer_config.json, where it is a text, or an object with the text as content."""
    name = special_token.get("content") if isinstance(special_token, dict) else special_token
    return name if isinstance(name, str) else default
