"""transformers' side of versus_transformers: a process that continues a prompt when asked. It does not import npgpt."""
import time

import torch
from transformers import AutoModelForCausalLM

from benchmarks.peer import memory, serve


class Continuation:
    """The state between requests."""

    def start(self, folder: str, prompt: list[int], new: int, threads: int) -> dict:
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.ids, self.new = torch.tensor([prompt]), new
        return {}

    def burst(self, steps: int) -> dict:
        """Continue the prompt so often  ->  for each its seconds and its first token"""
        return {"steps": [self.step() for _ in range(steps)]}

    def step(self) -> dict[str, float]:
        start = time.perf_counter()
        ids = self.model.generate(self.ids, attention_mask=torch.ones_like(self.ids), do_sample=False, pad_token_id=0,
                                  max_new_tokens=self.new, min_new_tokens=self.new)
        return {"first": ids[0, self.ids.shape[1]].item(), "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    run = Continuation()
    serve({"start": run.start, "burst": run.burst, "memory": memory})
