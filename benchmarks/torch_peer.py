"""torch's side: the same GPT as nanoGPT writes it, in a process of its own. It does not import npgpt.

The modules have the names of npgpt's parameters.
"""
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peer import memory, serve


class SelfAttention(nn.Module):
    def __init__(self, C: int, n_head: int) -> None:
        super().__init__()
        self.n_head, self.qkv, self.proj = n_head, nn.Linear(C, 3 * C), nn.Linear(C, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        q, k, v = (z.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for z in self.qkv(x).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)            # (B, H, T, D)
        return self.proj(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    def __init__(self, C: int, I: int, n_head: int, eps: float) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(C, eps), SelfAttention(C, n_head), nn.LayerNorm(C, eps)
        self.mlp = nn.Sequential(OrderedDict(up=nn.Linear(C, I), gelu=nn.GELU(approximate="tanh"), down=nn.Linear(I, C)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Takes npgpt's config, for a model with learned positions, a tied head, GELU and no dropout."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        V, C, eps = config["vocab_size"], config["n_embd"], config["layer_norm_epsilon"]
        self.wte, self.wpe = nn.Embedding(V, C), nn.Embedding(config["n_positions"], C)
        self.blocks = nn.ModuleList([Block(C, config["n_inner"] or 4 * C, config["n_head"], eps)
                                     for _ in range(config["n_layer"])])
        self.ln_f = nn.LayerNorm(C, eps)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)                       # (B, T, V)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def load_weights(model: GPT, weights: Mapping[str, np.ndarray], n_head: int) -> None:
    """Copy npgpt's arrays, by name. Raises RuntimeError where names or shapes differ from the model's.

    wte -> wte.weight, ln_1.gain -> ln_1.weight, attn.w_proj -> attn.proj.weight, attn.b_proj -> attn.proj.bias, and so on.
    npgpt keeps matrices as (in, out), nn.Linear as (out, in). In w_qkv and b_qkv npgpt has each head's query, key and value
    side by side, this model all queries, then all keys, then all values.
    """
    state = {}
    for name, array in weights.items():
        group, dot, own = name.rpartition(".")
        if own in ("w_qkv", "b_qkv"):
            by_head = array.reshape(*array.shape[:-1], n_head, 3, -1)
            array = by_head.swapaxes(-3, -2).reshape(array.shape)
        if own.startswith("w_"):
            own, array = f"{own[2:]}.weight", array.T
        elif own.startswith("b_"):
            own = f"{own[2:]}.bias"
        elif own == "gain":
            own = "weight"
        elif own in ("wte", "wpe"):
            own = f"{own}.weight"
        state[group + dot + own] = torch.from_numpy(array)
    model.load_state_dict(state)


class TrainingRun:
    """The state between requests."""

    def start(self, file: str, config: dict, compiled: bool, **settings: object) -> dict:
        """Load the weights and the batch. No step is made yet, and nothing is compiled until the first."""
        with np.load(file, allow_pickle=False) as problem:
            arrays = dict(problem)
        batch = [torch.from_numpy(arrays.pop(name)) for name in ("ids", "targets")]
        model = GPT(config)
        load_weights(model, arrays, config["n_head"])
        return self.prepare(model, batch, torch.compile(model) if compiled else model, **settings)

    def prepare(self, model: nn.Module, batch: list[torch.Tensor], loss: Callable[..., torch.Tensor], learning_rate: float,
                betas: list[float], weight_decay: float, clip: float, threads: int) -> dict:
        """loss: of a batch, which the model computes."""
        torch.set_num_threads(threads)
        self.model, self.batch, self.loss, self.clip = model, batch, loss, clip
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},      # as in nanoGPT
                  {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=learning_rate, betas=tuple(betas), eps=1e-8, fused=True)
        return {"versions": f"PyTorch {torch.__version__}, NumPy {np.__version__}, MKL {on(torch.backends.mkl)}, "
                            f"oneDNN {on(torch.backends.mkldnn)}, {torch.backends.cpu.get_cpu_capability()}"}

    def burst(self, steps: int) -> dict:
        """Make steps  ->  for each its loss and its seconds"""
        return {"steps": [self.step() for _ in range(steps)]}

    def step(self) -> dict[str, float]:
        start = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(*self.batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        return {"loss": loss.item(), "seconds": time.perf_counter() - start}


def on(backend: object) -> str:
    return "on" if backend.is_available() else "off"


if __name__ == "__main__":
    run = TrainingRun()
    serve({"start": run.start, "burst": run.burst, "memory": memory})
