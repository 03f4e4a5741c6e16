"""transformers' side of scoring: computes likelihoods of continuations, one after the other. It does not import npgpt."""
import time

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from benchmarks.peer import serve


class Likelihoods:
    """The state between requests."""

    def start(self, folder: str, continuations: list[tuple[list[int], list[int]]], threads: int) -> dict:
        torch.set_num_threads(threads)
        self.model, self.continuations = AutoModelForCausalLM.from_pretrained(folder).eval(), continuations
        return {}

    @torch.no_grad()
    def measure(self) -> dict:
        """All log-probabilities, and the seconds that they took"""
        start = time.perf_counter()
        found = [self.log_probability(*one) for one in self.continuations]
        return {"found": found, "seconds": time.perf_counter() - start}

    def log_probability(self, context: list[int], ids: list[int]) -> float:
        whole = torch.tensor([context + ids])
        logits = self.model(whole[:, :-1]).logits[0, -len(ids):]                       # (N, V), for the N ids
        return logits.log_softmax(-1).gather(1, whole[0, -len(ids):, None]).sum().item()


if __name__ == "__main__":
    disable_progress_bar()
    side = Likelihoods()
    serve({"start": side.start, "measure": side.measure})
