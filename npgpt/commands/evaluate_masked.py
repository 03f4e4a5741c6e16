"""npgpt evaluate on a masked language model: how well it predicts masked tokens of a text."""
import math

import numpy as np

from npgpt.commands.progress import Progress
from npgpt.layers.cross_entropy import cross_entropy
from npgpt.model.bert_config import BertConfig
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import masking_of
from npgpt.text.tokenizer import Tokenizer
from npgpt.training.evaluation import evaluate

ONE_BY_ONE = 2048            # tokens that are masked one at a time: each takes a pass over its window


def show_masked(parameters: np.ndarray, config: BertConfig, tokenizer: Tokenizer, tokens: np.ndarray) -> None:
    """Print the loss and accuracy on masks that are the same at every evaluation, and the pseudo-perplexity (Salazar et al.
    2020): exp of the mean loss of tokens that are masked one at a time.
    """
    task = MaskedLanguageModelling(config, masking=masking_of(tokenizer))
    nats = count = right = 0
    with Progress() as progress:
        for batch in task.batches(tokens):
            logits, targets = task.logits(batch, parameters)
            nats += float(cross_entropy(logits, targets)[0]) * len(targets)
            right += int((logits.argmax(axis=-1) == targets).sum())
            count += len(targets)
            progress.status(f"{count:,} masked tokens  loss {nats / count:.4f}")
        progress.status(f"up to {ONE_BY_ONE:,} tokens one at a time")
        alone = list(task.each_masked(tokens, ONE_BY_ONE))
        loss, total = evaluate(task, parameters, alone), sum(map(task.count, alone))
    print(f"tokens         {count:,} of {len(tokens):,} masked, in groups; always the same")
    print(f"loss           {nats / count:.4f} nats a masked token")
    print(f"accuracy       {right / count:.2%}")
    print(f"pseudo-perplexity  {math.exp(min(loss, 700)):.3f}, over {total:,} tokens masked one at a time"
          f"{', in windows spread evenly over the text' * (total < len(tokens) - 1)}")
