"""Masked language modelling on the command line: the text, a tokenizer with [MASK], and a model to train."""
import sys
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from npgpt.commands.arguments import for_shell
from npgpt.commands.materials import LanguageModel, gather_text
from npgpt.commands.objective import Objective
from npgpt.errors import InputError
from npgpt.generation.fill import filled, mask_probabilities
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.bert_config import BertConfig
from npgpt.model.model import Model
from npgpt.runs.settings import RunSettings
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import MASK, PAD, SPECIAL, masking_of
from npgpt.terminal import harmless
from npgpt.text.corpus import Corpus
from npgpt.text.tokenizer import Tokenizer
from npgpt.text.vocabulary import with_special_tokens


BOX = "\N{FULL BLOCK}"                        # a masked token


class MaskedLanguageModel(LanguageModel):
    """Masked language modelling on a text."""

    task: MaskedLanguageModelling
    name, kind, preset = "masked", BertConfig, "bert-small"
    # A seventh of the tokens are targets: so more of them in a batch, and more batches.
    defaults = MappingProxyType({"batch_size": 32, "steps": 2000, "schedule": "cosine"})
    bits_per_nat, step_seconds = Objective.bits_per_nat, Objective.step_seconds

    @classmethod
    def tokenizer_for(cls, tokenizer: Tokenizer | None) -> Tokenizer:
        if tokenizer is None:
            raise InputError("--objective masked needs a text, or token ids with a tokenizer beside them")
        return with_special_tokens(tokenizer, SPECIAL)

    @classmethod
    def special_ids(cls, tokenizer: Tokenizer) -> dict[str, int | None]:
        return {"pad_token_id": tokenizer.special_tokens[PAD]}

    @classmethod
    def task_for(cls, config: BertConfig, corpus: Corpus, tokenizer: Tokenizer) -> MaskedLanguageModelling:
        return MaskedLanguageModelling(config, corpus, masking_of(tokenizer))

    def first_example(self) -> list:
        return [next(self.task.batches(self.task.corpus.validation[:self.task.length + 1]))]

    def validated(self) -> str:
        count = sum(map(self.task.count, self.task.validation_batches()))
        return f"{count:,} masked tokens of the {len(self.task.corpus.validation):,} of its split"

    def show_result(self, model: Model, settings: RunSettings) -> None:
        """Print a part of the validation text with masked tokens, and the text with what the model puts in their places."""
        (ids,), (targets,) = next(self.task.validation_batches(1))
        mask, tokenizer = self.task.masking.mask, model.tokenizer
        ids = np.where(targets == IGNORED, ids, mask)
        likeliest = mask_probabilities(ids, mask, model.parameters, model.config).argmax(axis=1)
        hidden = tokenizer.decode(ids[~np.isin(ids, np.setdiff1d(self.task.masking.special, mask))]).replace(MASK, BOX)
        print(f"\n{harmless(hidden, sys.stdout)}\n\n{harmless(filled(ids, likeliest, tokenizer), sys.stdout)}\n", flush=True)

    def next_command(self, folder: Path) -> str:
        return f'npgpt fill --model {for_shell(folder)} --text "..."'


gather_masked_text = partial(gather_text, objective=MaskedLanguageModel)
