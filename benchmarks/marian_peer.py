"""transformers' side of versus_marian: the same encoder-decoder as MarianMTModel. It does not import npgpt."""
import numpy as np
import torch
from torch.nn import functional as F
from transformers import MarianMTModel
from transformers.utils.logging import disable_progress_bar

from benchmarks.peer import memory, serve
from benchmarks.torch_peer import TrainingRun


class PairsRun(TrainingRun):
    def start(self, folder: str, smoothing: float, **settings: object) -> dict:
        """Load the model and the batch. No step is made yet."""
        model = MarianMTModel.from_pretrained(folder).train()
        with np.load(f"{folder}/batch.npz", allow_pickle=False) as batch:
            batch = [torch.from_numpy(batch[name]) for name in ("source", "ids", "targets")]

        def loss(source: torch.Tensor, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            mask = (source != model.config.pad_token_id).long()
            logits = model(input_ids=source, attention_mask=mask, decoder_input_ids=ids, use_cache=False).logits
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=smoothing)

        return self.prepare(model, batch, loss, **settings)


if __name__ == "__main__":
    disable_progress_bar()
    run = PairsRun()
    serve({"start": run.start, "burst": run.burst, "memory": memory})
