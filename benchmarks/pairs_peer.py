"""npgpt's side of versus_marian: a process that makes training steps of an encoder-decoder when asked."""
import numpy as np

from benchmarks.npgpt_peer import TrainingRun, serve_run
from npgpt.interop.huggingface import load
from npgpt.tasks.translation import PairBatch, Translation


class PairsRun(TrainingRun):
    def start(self, folder: str, smoothing: float, **settings: object) -> dict:
        """Load the model and the batch. No step is made yet."""
        model = load(folder)
        with np.load(f"{folder}/batch.npz", allow_pickle=False) as batch:
            batch = PairBatch(**batch)
        return self.prepare(Translation(model.config, smoothing=smoothing), model.parameters, batch, **settings)


if __name__ == "__main__":
    serve_run(PairsRun)
