"""torch's side: the same GPT as nanoGPT writes it, in a process of its own. The only file that imports torch.

The weights come as one flat .npy vector, and a list of (name, shape, whether it decays) in its order.
"""
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peer import peak_memory, serve


class SelfAttention(nn.Module):
    def __init__(self, C: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(C, 3 * C)
        self.c_proj = nn.Linear(C, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        q, k, v = (a.view(B, T, self.heads, C // self.heads).transpose(1, 2) for a in self.c_attn(x).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)            # (B, H, T, D)
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


class FeedForward(nn.Module):
    def __init__(self, C: int, I: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(C, I)
        self.c_proj = nn.Linear(I, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, C: int, I: int, heads: int, eps: float) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(C, eps), SelfAttention(C, heads)
        self.ln_2, self.mlp = nn.LayerNorm(C, eps), FeedForward(C, I)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Takes npgpt's config, for a model with learned positions, a tied head, GELU and no dropout."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        V, C, eps = config["vocab_size"], config["n_embd"], config["layer_norm_epsilon"]
        blocks = [Block(C, config["n_inner"] or 4 * C, config["n_head"], eps) for _ in range(config["n_layer"])]
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(V, C), "wpe": nn.Embedding(config["n_positions"], C),
                                          "h": nn.ModuleList(blocks), "ln_f": nn.LayerNorm(C, eps)})
        self.lm_head = nn.Linear(C, V, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.transformer.wte(ids) + self.transformer.wpe(torch.arange(ids.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))                        # (B, T, V)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def load_weights(model: GPT, file: Path, parameters: list) -> None:
    """Fill the model from the flat vector. npgpt keeps matrices as (in, out), nn.Linear as (out, in)."""
    vector = np.load(file, mmap_mode="r", allow_pickle=False)
    own = dict(model.named_parameters())
    if set(own) != {name for name, _, _ in parameters}:
        raise ValueError("the two models do not have the same parameters")
    start = 0
    for name, shape, _ in parameters:
        stop = start + int(np.prod(shape))
        values = torch.from_numpy(np.array(vector[start:stop].reshape(shape)))
        with torch.no_grad():
            own[name].copy_(values.T if ".c_" in name and values.ndim == 2 else values)
        start = stop


class TrainingRun:
    """What is kept between requests."""

    def start(self, folder: str, config: dict, rate: float, betas: list[float], weight_decay: float, clip: float,
              parameters: list, threads: int, compiled: bool) -> dict:
        """Load the weights and the batch. No step is made yet, and nothing is compiled until the first."""
        torch.set_num_threads(threads)
        self.model, self.clip = GPT(config), clip
        load_weights(self.model, Path(folder) / "parameters.npy", parameters)
        self.ids, self.targets = (torch.from_numpy(np.load(Path(folder) / f"{name}.npy", allow_pickle=False))
                                  for name in ("ids", "targets"))
        own = dict(self.model.named_parameters())
        groups = [{"params": [own[name] for name, _, decays in parameters if decays], "weight_decay": weight_decay},
                  {"params": [own[name] for name, _, decays in parameters if not decays], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, betas=tuple(betas), eps=1e-8, fused=True)
        self.loss_of = torch.compile(self.model) if compiled else self.model
        return {"versions": f"PyTorch {torch.__version__}, NumPy {np.__version__}, MKL {on(torch.backends.mkl)}, "
                            f"oneDNN {on(torch.backends.mkldnn)}, {torch.backends.cpu.get_cpu_capability()}"}

    def burst(self, steps: int) -> dict:
        """Make steps  ->  each one's loss and seconds"""
        losses, seconds = [], []
        for _ in range(steps):
            start = time.perf_counter()
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.loss_of(self.ids, self.targets)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimiser.step()
            losses.append(loss.item())
            del loss
            seconds.append(time.perf_counter() - start)
        return {"losses": losses, "seconds": seconds}

    def memory(self) -> dict:
        return {"peak": peak_memory()}


def on(backend: object) -> str:
    return "on" if backend.is_available() else "off"


if __name__ == "__main__":
    run = TrainingRun()
    serve({"start": run.start, "burst": run.burst, "memory": run.memory})
