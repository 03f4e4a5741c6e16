"""Two guesses that a masked language model has to beat, from counts in the text that it was trained on:

    python -m benchmarks.masked_guesses DIR            a model of npgpt train --objective masked

15% of the tokens of the validation text are masked, all of them by [MASK]. It prints loss and accuracy of a unigram guess,
which knows how frequent each token is; of a bigram guess from both sides, which knows the two neighbours too, even where
they are masked for the model; and of the model.
"""
import argparse
from pathlib import Path

import numpy as np

from npgpt.commands.text_data import read_data, recorded_paths
from npgpt.interop.huggingface import load
from npgpt.layers.cross_entropy import IGNORED, cross_entropy
from npgpt.runs.checkpoint import recorded_settings
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import masking_of
from npgpt.text.corpus import encode_corpus

SMOOTHING = (1, 0.3, 0.1, 0.03, 0.01, 0.003)       # added to the counts of pairs; the guess may take the best


def unigram(train: np.ndarray, V: int) -> np.ndarray:
    """ln p(c)  (V,)"""
    counts = np.bincount(train, minlength=V) + 1.0
    return np.log(counts / counts.sum())


def bigram(train: np.ndarray, V: int, smoothing: float) -> np.ndarray:
    """ln p(second | first)  (V, V). Pairs that are rare are guessed from the frequency of the second token."""
    pairs = np.zeros((V, V))
    np.add.at(pairs, (train[:-1], train[1:]), 1)
    pairs += smoothing * V * np.exp(unigram(train, V))
    return np.log(pairs / pairs.sum(axis=1, keepdims=True))


def both_sides(left: np.ndarray, right: np.ndarray, bigrams: np.ndarray) -> np.ndarray:
    """ln p(c | left, right) up to a constant, if the right neighbour depends on c alone: (N, V)"""
    return bigrams[left] + bigrams[:, right].T


def measured(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Mean loss in nats, accuracy."""
    return float(cross_entropy(logits, targets)[0]), float((logits.argmax(axis=-1) == targets).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    model = load(folder)
    corpus = encode_corpus(read_data(recorded_paths(recorded_settings(folder)))[0], model.tokenizer)
    train, V = corpus.train.astype(np.int64), model.config.vocab_size
    task = MaskedLanguageModelling(model.config, corpus, masking_of(model.tokenizer))

    ids, targets, predicted = [], [], []
    for batch in task.batches(corpus.validation):
        chosen = batch.targets != IGNORED
        whole = np.where(chosen, batch.targets, batch.ids)
        at = np.nonzero(chosen)
        ids.append(np.stack([whole[at[0], at[1] - 1], whole[at[0], at[1] + 1]]))
        targets.append(batch.targets[chosen])
        masked = batch._replace(ids=np.where(chosen, task.masking.mask, whole))
        predicted.append(task.logits(masked, model.parameters)[0])
    (left, right), targets = np.concatenate(ids, axis=1), np.concatenate(targets)
    rows = {"unigram": measured(np.tile(unigram(train, V), (len(targets), 1)), targets)}
    rows["bigram from both sides"] = min(measured(both_sides(left, right, bigram(train, V, s)), targets) for s in SMOOTHING)
    rows["model"] = measured(np.concatenate(predicted), targets)
    print(f"{len(targets):,} masked tokens of {folder}     loss  accuracy")
    for name, (loss, accuracy) in rows.items():
        print(f"{name:24}{loss:8.4f}{accuracy:9.1%}")


if __name__ == "__main__":
    main()
