"""Damaged and hostile model directories: they load correctly, or fail with one line, soon, and in little memory.

With NPGPT_TESTS=thorough, ten thousand of them.
"""
import dataclasses
import json
import os
import random
import shutil
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import language_model, logits_of
from npgpt.errors import InputError
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.interop.huggingface import load, load_model, save
from npgpt.interop.safetensors import write_safetensors
from npgpt.interop.weights import INDEX, WEIGHTS
from npgpt.model.config import GPTConfig
from npgpt.model.heads import CLASSIFICATION, SPAN, Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters, parameter_count
from npgpt.runs.checkpoint import SUMS, read_checkpoint, write_checkpoint
from npgpt.runs.settings import RunSettings
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.training.trainer import initial_state

EACH = 40 if settings().max_examples >= 250 else 10             # directories in an example, of any kind
SECONDS, ROOM = 5, 2**19                                       # to load one; bytes beyond twice its size, for Python's objects
HOSTILE = ["-1", "0", "1", "2", "1e400", "1.5", "null", "true", '"x"', "[]", "{}", "[[[]]]", "NaN", "-Infinity", str(2**31), str(2**63),
           str(2**64), "9" * 5000, '"' + "x" * 5000 + '"', "[" * 300 + "]" * 300, '"../../etc/passwd"', '"/etc/passwd"', '"\\u0000"',
           '"\\ud800"', '"F16"', '"U8"', '"model.safetensors"']


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Undamaged directories of each kind, and what reads them."""
    folder = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)              # slow on some disks
        plain = GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=1, n_head=2)
        save(folder / "characters", Model(language_model(plain), plain, CharacterTokenizer("abcde")))
        tokenizer = tokenizer_of_merges(list(learn_merges(count_words("the cat and the hat and the bat")))[:4])
        pairs = GPTConfig(vocab_size=tokenizer.vocab_size, n_positions=2, n_embd=2, n_layer=1, n_head=1)
        save(folder / "pairs", Model(language_model(pairs), pairs, tokenizer))
        (folder / "pairs" / "tokenizer.json").unlink()             # so that vocab.json and merges.txt are read
        save(folder / "shards", Model(language_model(plain), plain, None))
        (folder / "shards" / WEIGHTS).unlink()
        tensors = tensors_as_in_file(language_model(plain).astype(np.float16), plain)
        names = sorted(tensors)
        places = {name: f"{i % 2}.safetensors" for i, name in enumerate(names)}
        for place in set(places.values()):
            write_safetensors(folder / "shards" / place, {name: tensors[name] for name in names if places[name] == place}, {})
        (folder / "shards" / INDEX).write_text(json.dumps({"weight_map": places}))
        model = Model(language_model(plain), plain, CharacterTokenizer("abcde"))
        run = RunSettings(threads=1, eval_every=10, data=None, sha256="0" * 64)
        state = initial_state(model.parameters, LanguageModelling(plain), run)
        os.rename(write_checkpoint(folder, state, model, run), folder / "checkpoint")
        heads = Head(CLASSIFICATION, ("no", "yes"), "tone"), Head(SPAN, (), "answer")
        for name, changes in (("banded", {"window_size": 2, "qkv_bias": False, "n_layer": 2}),
                              ("post-ln", {"pre_layer_norm": False})):
            config = dataclasses.replace(plain, **changes)
            save(folder / name, Model(initial_parameters(model_table(config, heads)), config, None, heads))
    return {folder / "characters": load_all, folder / "pairs": load_all, folder / "shards": load_weights,
            folder / "checkpoint": load_resealed, folder / "banded": load_heads, folder / "post-ln": load_heads}


def load_weights(folder):
    """A model that is loaded computes."""
    parameters, config = load_model(folder)
    with np.errstate(all="ignore"):
        logits = logits_of(np.zeros((1, 1), int), parameters, config)
    assert logits.shape == (1, 1, config.vocab_size)


def load_heads(folder):
    model = load(folder)
    assert len(model.parameters) == parameter_count(model.table)
    load_weights(folder)


def load_all(folder):
    load_weights(folder)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.decode_bytes(range(tokenizer.vocab_size))


def load_resealed(folder):
    """With digests that match the files, as an attacker would write them."""
    from npgpt.files import sha256
    (folder / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != SUMS))
    read_checkpoint(folder)


def require_correct_or_one_line(load, folder):
    size = sum(path.stat().st_size for path in folder.iterdir())
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.perf_counter()
    try:
        load(folder)
    except (InputError, OSError) as error:
        assert str(error)
    assert time.perf_counter() - start < SECONDS
    assert tracemalloc.get_traced_memory()[1] - before < 2 * size + ROOM


def damage(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Damage a file in one of several ways."""
    at, length = rng.randrange(len(content) + 1), rng.randrange(1, 40)
    way = rng.randrange(6)
    if way == 0:                                               # truncated
        return content[:at]
    if way == 1:                                               # a flipped bit
        return bytes(byte ^ (i == at) << rng.randrange(8) for i, byte in enumerate(content))
    if way == 2:                                               # a piece of another file
        begin = rng.randrange(len(other) + 1)
        return content[:at] + other[begin:begin + length] + content[at + length * rng.randrange(2):]
    if way == 3:                                               # a piece removed
        return content[:at] + content[at + length:]
    if way == 4:                                               # a wrong length
        return rng.choice([2**64 - 1, 2**63, 10**8, len(content), rng.randrange(2**16)]).to_bytes(8, "little") + content[8:]
    return claim(content, rng)


def claim(content: bytes, rng: random.Random) -> bytes:
    """Replace a value in JSON; the length of a header is corrected, so that it is read."""
    header = content[8:8 + int.from_bytes(content[:8], "little")] if content[8:9] == b"{" else content
    rest = content[8 + len(header):] if header is not content else None
    values = [i + 1 for i, byte in enumerate(header) if byte in b":[,"] or [0]
    begin = rng.choice(values)
    end = min((i for i in range(begin, len(header)) if header[i] in b",]}\n"), default=len(header))
    header = header[:begin] + rng.choice(HOSTILE).encode() + header[end:]
    return header if rest is None else len(header).to_bytes(8, "little") + header + rest


@given(seed=st.integers(0, 2**32))
def test_a_damaged_directory_is_loaded_correctly_or_refused_in_one_line(kinds, tmp_path_factory, seed):
    rng = random.Random(seed)
    place = tmp_path_factory.mktemp("damaged", numbered=True)
    tracemalloc.start()
    for i in range(EACH):
        undamaged, load = rng.choice(list(kinds.items()))
        folder = place / str(i)
        shutil.copytree(undamaged, folder)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            path, other = (rng.choice(sorted(folder.iterdir())) for _ in range(2))
            path.write_bytes(damage(path.read_bytes(), other.read_bytes(), rng))
        try:
            require_correct_or_one_line(load, folder)
        except Exception:
            print({path.name: path.read_bytes() for path in folder.iterdir()})
            raise
        shutil.rmtree(folder)
    tracemalloc.stop()


def test_a_directory_with_a_truncated_file_is_loaded_correctly_or_refused_in_one_line(kinds, tmp_path):
    """One file after the other, at many lengths; truncated weights are always refused."""
    thorough = settings().max_examples >= 250
    tracemalloc.start()
    for undamaged, load in kinds.items():
        folder = tmp_path / undamaged.name
        shutil.copytree(undamaged, folder)
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            for length in range(0, len(content), 1 if thorough else max(29, len(content) // 40)):
                path.write_bytes(content[:length])
                if path.suffix == ".safetensors":
                    with pytest.raises(InputError):
                        load(folder)
                else:
                    require_correct_or_one_line(load, folder)
            path.write_bytes(content)
        load(folder)
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd.safetensors", "sub/x.safetensors", "..", "", "a\\b.safetensors",
                                  "x\0.safetensors", ["x"], {"x": 1}, None, 7])
def test_a_file_outside_the_directory_is_never_opened(kinds, tmp_path, name):
    undamaged = next(folder for folder in kinds if folder.name == "shards")
    shutil.copytree(undamaged, tmp_path / "model")
    index = json.loads((tmp_path / "model" / INDEX).read_text())
    shutil.copy(undamaged / "0.safetensors", tmp_path / "outside.safetensors")
    index["weight_map"] = {tensor: name if place == "0.safetensors" else place for tensor, place in index["weight_map"].items()}
    (tmp_path / "model" / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match="not a safetensors file in this folder"):
        load_model(tmp_path / "model")
