"""versus_marian: training steps of an encoder-decoder, in transformers too; npgpt and PyTorch take turns."""
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.peer import PeerError
from benchmarks.shapes import DTYPE, SETTINGS, Plan
from benchmarks.table import Table, paragraph
from benchmarks.versus_torch import COLUMNS, EFFORT, SHORT_EFFORT, DifferentLoss, compare
from benchmarks.versus_transformers import has_transformers
from npgpt.interop.huggingface import save
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.tasks.translation import SMOOTHING, Pair, PairBatch, Translation

PEERS = "pairs_peer", "marian_peer"
SHORTER = 8                                     # tokens by which some texts of a batch are shorter than the longest


class PairShape(NamedTuple):
    """A model, and the pairs that it is trained on. Without dropout, so that steps can be compared."""
    name: str
    config: EncoderDecoderConfig
    B: int
    S: int                                      # tokens of the longest source,
    T: int                                      # and of the longest target

    @property
    def title(self) -> str:
        c = self.config
        return f"{self.name}: L{c.n_layer} H{c.n_head} C{c.n_embd} S{self.S} T{self.T} B{self.B} V{c.vocab_size}"

    def batch(self) -> PairBatch:
        """Uniform random tokens; the lengths differ, so that a part is padding."""
        rng, V = np.random.default_rng(0), self.config.vocab_size - 2
        return Translation(self.config).batch([Pair(*(rng.integers(V, size=most - i % SHORTER) for most in (self.S, self.T)))
                                               for i in range(self.B)])


def shape(name: str, B: int, S: int, T: int, V: int) -> PairShape:
    """Of a preset. The last two tokens are padding and end."""
    return PairShape(name, preset(name, vocab_size=V, pad_token_id=V - 2, eos_token_id=V - 1).without_dropout(), B, S, T)


SHAPES = [shape("transformer-small", 32, 55, 57, 30), shape("transformer-base", 8, 32, 32, 8000)]


def run(plan: Plan) -> dict:
    """Print a row for each shape  ->  {shape: figures}"""
    if not has_transformers(plan.torch_python):
        print(f"left out: no transformers could be imported by {plan.torch_python} (see --torch-python)")
        return {}
    shapes, effort = (SHAPES[:1], SHORT_EFFORT) if plan.short else (SHAPES, EFFORT)
    paragraph(f"""Whole training steps of npgpt's encoder-decoder and of MarianMTModel, {plan.threads} threads on both sides:
        forward, loss with label smoothing, backward, clipping, AdamW (PyTorch's fused), in eager mode. {effort}. Speed and
        quartiles are those of versus_torch.""")
    print("\n" + "\n".join(shape.title for shape in shapes) + "\n")
    table, results = Table(("shape", -17), *COLUMNS[2:]), {}
    for one in shapes:
        with tempfile.TemporaryDirectory() as folder:
            try:
                results[one.name] = compare((one.name,), write_problem(one, Path(folder)), plan, effort, table, PEERS)
            except (PeerError, DifferentLoss) as error:
                paragraph(f"{one.name}: not compared. {error}")
    return results


def write_problem(shape: PairShape, folder: Path) -> dict:
    """Write the model and the batch to a folder  ->  the arguments that start a peer"""
    parameters = initial_parameters(Translation(shape.config).table, seed=0, dtype=DTYPE)
    save(folder, Model(parameters, shape.config, None))
    np.savez(folder / "batch.npz", **shape.batch()._asdict())
    return {"folder": str(folder), "smoothing": SMOOTHING, **SETTINGS}
