"""Makes the golden files beside it: what tokenizers and transformers of Hugging Face do with words, GPT-1's and BERT's.

    python tests/text/golden/make.py            needs transformers; the tests need nothing of it

words.json: texts with settings of BertNormalizer, the normalised texts, and the words that BertPreTokenizer makes of them; and
the SHA-256 of the characters of Unicode (every 97th where all are Chinese or unassigned), each between a and b, normalised
and as words. The folders gpt1 and bert: a small tokenizer as save_pretrained writes it, texts with their ids, and ids with
their texts; for bert, also the ids with do_lower_case false.
"""
import hashlib
import json
import random
import shutil
from itertools import product
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer, OpenAIGPTTokenizer

GOLDEN = Path(__file__).parent
TEXT = """The first Transformer had an encoder and a decoder; BERT kept the first, GPT the second. It's known, isn't it?
Lower, lowest, newer, newest, wider, widest: words that share their ends. Café, naïve, Straße, ÉCOLE, İstanbul, ΣΊΣΥΦΟΣ.
東京 and 中国 are written without spaces. (Brackets), [MASK], <unk>, e-mail@example.org, 3.14, 1,000,000 and 50%."""
LETTERS = "abcAZÉéİßſΣσς ́̈̊ͅ\t\n\r\x00\x1c\x85\xa0\xad\u200b\u2003\u2028\ufeff\ufffd.,'#$<^~¿、「中國豈가힣𝐀𞤀𐐀\U00011938Ა\ue000🤗\u0378"
SETTINGS = list(product([True, False], [True, False], [None, True, False], [True, False]))


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value) + "\n")


def drawn_texts(rng: random.Random, number: int) -> list[str]:
    anything = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    pieces = [*LETTERS, *TEXT.split(), " "]
    return ["".join(rng.choice(anything if rng.random() < 0.2 else pieces) for _ in range(rng.randrange(12)))
            for _ in range(number)]


def make_words() -> None:
    splitter, cases = pre_tokenizers.BertPreTokenizer(), []
    for i, text in enumerate(drawn_texts(random.Random(0), 10 * len(SETTINGS))):
        settings = dict(zip(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), SETTINGS[i % len(SETTINGS)]))
        normal = normalizers.BertNormalizer(**settings).normalize_str(text)
        cases.append([text, settings, normal, [word for word, _ in splitter.pre_tokenize_str(normal)]])
    points = [*range(0xD800), *range(0xE000, 0x20000), *range(0x20000, 0xE0000, 97), *range(0xE0000, 0xE0200)]
    normal = normalizers.BertNormalizer().normalize_str("".join(f"a{chr(point)}b\n" for point in points))
    words = [word for word, _ in splitter.pre_tokenize_str(normal)]
    write(GOLDEN / "words.json", {"cases": cases, "points": len(points), "normalised": digest(normal), "words": digest("\n".join(words))})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def trained(model: models.Model, trainer: trainers.Trainer) -> dict:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator([TEXT], trainer)
    return json.loads(tokenizer.to_str())["model"]


def make_tokenizer(folder: Path, tokenizer: OpenAIGPTTokenizer | BertTokenizer, others: dict) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer.save_pretrained(folder)
    rng = random.Random(1)
    texts = [*TEXT.split("\n"), "", " ", "e" * 99, "e" * 100, "e" * 101, *drawn_texts(rng, 60)]
    texts = [text for text in texts if not any(token in text for token in tokenizer.all_special_tokens)]
    ids = [[rng.randrange(len(tokenizer)) for _ in range(rng.randrange(9))] for _ in range(60)]
    plain = {"add_special_tokens": False}
    write(folder / "expected.json", {
        "texts": texts, "ids": [tokenizer.encode(text, **plain) for text in texts],
        "drawn_ids": ids, "decoded": [tokenizer.decode(row) for row in ids],
        **{name: [other.encode(text, **plain) for text in texts] for name, other in others.items()}})


def make_gpt1() -> None:
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False)
    model = trained(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainer)
    make_tokenizer(GOLDEN / "gpt1", OpenAIGPTTokenizer(vocab=model["vocab"], merges=[*map(tuple, model["merges"])]), {})


def make_bert() -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    vocabulary = trained(models.WordPiece(unk_token="[UNK]"), trainer)["vocab"]
    make_tokenizer(GOLDEN / "bert", BertTokenizer(vocab=vocabulary),
                   {"ids_cased": BertTokenizer(vocab=vocabulary, do_lower_case=False)})


if __name__ == "__main__":
    make_words()
    make_gpt1()
    make_bert()
