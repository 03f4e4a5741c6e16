"""Model directories from strangers: whatever is wrong with them, they load right, or fail in a line, soon, in little memory.

With NPGPT_TESTS=thorough, ten thousand of them.
"""
import json
import os
import random
import shutil
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from npgpt.errors import InputError
from npgpt.interop.huggingface import load_model, save_model
from npgpt.interop.safetensors import write_safetensors
from npgpt.interop.weights import INDEX, WEIGHTS
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import initial_parameters, named_views
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.runs.checkpoint import SUMS, read_checkpoint, write_checkpoint
from npgpt.training.trainer import TrainingSettings, initial_state

EACH = 40 if settings().max_examples >= 250 else 10             # directories an example; one in four of a kind
SECONDS, ROOM = 5, 2**19                                       # to load one; bytes beside twice its size, for Python's objects
HOSTILE = ["-1", "0", "1", "2", "1e400", "1.5", "null", "true", '"x"', "[]", "{}", "[[[]]]", "NaN", "-Infinity", str(2**31), str(2**63),
           str(2**64), "9" * 5000, '"' + "x" * 5000 + '"', "[" * 300 + "]" * 300, '"../../etc/passwd"', '"/etc/passwd"', '"\\u0000"',
           '"\\ud800"', '"F16"', '"U8"', '"model.safetensors"']


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Sound directories of each kind, to be spoiled, and what reads them."""
    folder = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)              # slow on some disks
        plain = GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=1, n_head=2)
        save_model(folder / "characters", initial_parameters(plain), plain, CharacterTokenizer("abcde"))
        tokenizer = tokenizer_of_merges(list(learn_merges(count_words("the cat and the hat and the bat")))[:4])
        pairs = GPTConfig(vocab_size=tokenizer.vocab_size, n_positions=2, n_embd=2, n_layer=1, n_head=1)
        save_model(folder / "pairs", initial_parameters(pairs), pairs, tokenizer)
        (folder / "pairs" / "tokenizer.json").unlink()             # so that vocab.json and merges.txt are read
        save_model(folder / "shards", initial_parameters(plain), plain)
        (folder / "shards" / WEIGHTS).unlink()
        tensors = named_views(initial_parameters(plain).astype(np.float16), plain)
        names = sorted(tensors)
        places = {name: f"{i % 2}.safetensors" for i, name in enumerate(names)}
        for place in set(places.values()):
            write_safetensors(folder / "shards" / place, {name: tensors[name] for name in names if places[name] == place}, {})
        (folder / "shards" / INDEX).write_text(json.dumps({"weight_map": places}))
        state = initial_state(initial_parameters(plain), plain, TrainingSettings())
        os.rename(write_checkpoint(folder, state, plain, CharacterTokenizer("abcde"), None, {}), folder / "checkpoint")
    return {folder / "characters": load_all, folder / "pairs": load_all, folder / "shards": load_weights, folder / "checkpoint": load_sealed}


def load_weights(folder):
    """A model that loads computes."""
    parameters, config = load_model(folder)
    with np.errstate(all="ignore"):
        logits, _ = gpt(np.zeros((1, 1), int), parameters, config)
    assert logits.shape == (1, 1, config.vocab_size)


def load_all(folder):
    load_weights(folder)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.decode_bytes(range(tokenizer.vocab_size))


def load_sealed(folder):
    """A stranger's digests are right, whatever is in the files."""
    from npgpt.files import sha256
    (folder / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != SUMS))
    read_checkpoint(folder)


def require_right_or_one_line(load, folder):
    size = sum(path.stat().st_size for path in folder.iterdir())
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.perf_counter()
    try:
        load(folder)
    except (InputError, OSError) as error:
        assert str(error)
    assert time.perf_counter() - start < SECONDS
    assert tracemalloc.get_traced_memory()[1] - before < 2 * size + ROOM


def spoil(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """One mishap or malice of those that files meet."""
    at, length = rng.randrange(len(content) + 1), rng.randrange(1, 40)
    way = rng.randrange(6)
    if way == 0:                                               # cut short
        return content[:at]
    if way == 1:                                               # a bit turned over
        return bytes(byte ^ (i == at) << rng.randrange(8) for i, byte in enumerate(content))
    if way == 2:                                               # a piece of another file
        begin = rng.randrange(len(other) + 1)
        return content[:at] + other[begin:begin + length] + content[at + length * rng.randrange(2):]
    if way == 3:                                               # a piece taken out
        return content[:at] + content[at + length:]
    if way == 4:                                               # a length that lies
        return rng.choice([2**64 - 1, 2**63, 10**8, len(content), rng.randrange(2**16)]).to_bytes(8, "little") + content[8:]
    return claim(content, rng)


def claim(content: bytes, rng: random.Random) -> bytes:
    """A value in JSON that lies; a header's length is told right, so that it is read."""
    header = content[8:8 + int.from_bytes(content[:8], "little")] if content[8:9] == b"{" else content
    rest = content[8 + len(header):] if header is not content else None
    values = [i + 1 for i, byte in enumerate(header) if byte in b":[,"] or [0]
    begin = rng.choice(values)
    end = min((i for i in range(begin, len(header)) if header[i] in b",]}\n"), default=len(header))
    header = header[:begin] + rng.choice(HOSTILE).encode() + header[end:]
    return header if rest is None else len(header).to_bytes(8, "little") + header + rest


@given(seed=st.integers(0, 2**32))
def test_a_spoiled_directory_loads_right_or_fails_in_a_line(kinds, tmp_path_factory, seed):
    rng = random.Random(seed)
    place = tmp_path_factory.mktemp("spoiled", numbered=True)
    tracemalloc.start()
    for i in range(EACH):
        sound, load = rng.choice(list(kinds.items()))
        folder = place / str(i)
        shutil.copytree(sound, folder)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            path, other = (rng.choice(sorted(folder.iterdir())) for _ in range(2))
            path.write_bytes(spoil(path.read_bytes(), other.read_bytes(), rng))
        try:
            require_right_or_one_line(load, folder)
        except Exception:
            print({path.name: path.read_bytes() for path in folder.iterdir()})
            raise
        shutil.rmtree(folder)
    tracemalloc.stop()


def test_a_directory_cut_short_at_any_byte_loads_right_or_fails_in_a_line(kinds, tmp_path):
    """In a whole number of bytes, one file after the other; the weights are refused at every one."""
    step = 1 if settings().max_examples >= 250 else 29
    tracemalloc.start()
    for sound, load in kinds.items():
        folder = tmp_path / sound.name
        shutil.copytree(sound, folder)
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            for length in range(0, len(content), step):
                path.write_bytes(content[:length])
                if path.suffix == ".safetensors":
                    with pytest.raises(InputError):
                        load(folder)
                else:
                    require_right_or_one_line(load, folder)
            path.write_bytes(content)
        load(folder)
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd.safetensors", "sub/x.safetensors", "..", "", "a\\b.safetensors",
                                  "x\0.safetensors", ["x"], {"x": 1}, None, 7])
def test_a_file_outside_the_directory_is_not_even_looked_for(kinds, tmp_path, name):
    sound = next(folder for folder in kinds if folder.name == "shards")
    shutil.copytree(sound, tmp_path / "model")
    index = json.loads((tmp_path / "model" / INDEX).read_text())
    shutil.copy(sound / "0.safetensors", tmp_path / "outside.safetensors")
    index["weight_map"] = {tensor: name if place == "0.safetensors" else place for tensor, place in index["weight_map"].items()}
    (tmp_path / "model" / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match="not a safetensors file in this folder"):
        load_model(tmp_path / "model")
