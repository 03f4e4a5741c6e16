"""Predictions of heads for tokens: examples of a file as sequences, the tags or answers of a model, and their figures."""
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import TransformerConfig
from npgpt.model.heads import SPAN, TAGGING, Head
from npgpt.model.model import Model
from npgpt.scoring.answers import AnswerReport, answer_report
from npgpt.scoring.spans import SpanReport, span_report
from npgpt.tasks.inputs import SPECIAL, SpecialIds, special_ids
from npgpt.tasks.masking import BEGIN, END, PAD
from npgpt.tasks.span import FoundAnswer, QuestionInputs, answer_of, question_inputs
from npgpt.tasks.tagging import TaggedInputs, tagged_inputs, tags_of
from npgpt.tasks.token_fine_tuning import TokenFineTuning
from npgpt.text.examples import QuestionExample, TaggedExample
from npgpt.text.tokenizer import Tokenizer

KINDS = {TAGGING: TaggedExample, SPAN: QuestionExample}
FIELDS = {TAGGING: "tokens, tags", SPAN: "question, context, answers"}
Prediction = tuple[str, ...] | FoundAnswer      # the tags of a text's words, or the answer to a question
Report = SpanReport | AnswerReport


def framing(tokenizer: Tokenizer, config: TransformerConfig) -> SpecialIds | None:
    """The tokens around texts: those of a BERT, or those of a GPT that was fine-tuned; None if the tokenizer lacks them."""
    return special_ids(tokenizer, (BEGIN, END, END, PAD) if isinstance(config, BertConfig) else SPECIAL)


def token_inputs(example: TaggedExample | QuestionExample, head: Head, tokenizer: Tokenizer, config: TransformerConfig,
                 with_targets: bool = True) -> TaggedInputs | QuestionInputs:
    """An example as a sequence. Raises InputError where it does not fit the head."""
    if not isinstance(example, KINDS[head.kind]):
        raise InputError(f"the model's head is for {head.kind}, which needs the fields {FIELDS[head.kind]}")
    frame = framing(tokenizer, config), config.n_positions, not isinstance(config, BertConfig)
    if head.kind == SPAN:
        answer = example.answers[0] if with_targets and example.answers else None
        return question_inputs(example.question, example.context, answer, tokenizer, *frame)
    targets = None
    if with_targets:
        index = {label: i for i, label in enumerate(head.labels)}
        unknown = next((tag for tag in example.tags if tag not in index), None)
        if unknown is not None:
            raise InputError(f"the tag {unknown!r} is not one of the model's: {', '.join(head.labels)}")
        targets = [index[tag] for tag in example.tags]
    return tagged_inputs(example.tokens, targets, tokenizer, *frame)


def inputs_of_tokens(examples: Sequence[TaggedExample | QuestionExample], head: Head, tokenizer: Tokenizer,
                     config: TransformerConfig, path: Path,
                     with_targets: bool = True) -> list[TaggedInputs | QuestionInputs]:
    """The examples of a file as sequences. Raises InputError, naming the line, for one that does not fit the head."""
    inputs = []
    for example in examples:
        try:
            inputs.append(token_inputs(example, head, tokenizer, config, with_targets))
        except InputError as error:
            raise InputError(f"{path}: line {example.line}: {error}") from None
    return inputs


def prediction(head: Head, logits: np.ndarray, example: TaggedExample | QuestionExample,
               inputs: TaggedInputs | QuestionInputs) -> Prediction:
    """logits (2, T) of a span, or (T, K) of tags"""
    return answer_of(logits, inputs, example.context) if head.kind == SPAN else tags_of(logits, inputs, head.labels)


def token_predictions(model: Model, examples: Sequence[TaggedExample | QuestionExample],
                      inputs: Sequence[TaggedInputs | QuestionInputs],
                      done: Callable[[int], object] = lambda examples: None) -> list[Prediction]:
    """The tags or answers of all examples. done: called with the number of examples so far."""
    head, = model.heads
    task, found, count = TokenFineTuning(model.config, head), {}, 0
    for batch, chosen in task.batches(inputs):
        _, logits = task.loss_and_logits(batch, model.parameters)
        found |= {i: prediction(head, row, examples[i], inputs[i]) for i, row in zip(chosen, logits)}
        count += len(chosen)
        done(count)
    return [found[i] for i in range(len(inputs))]


def token_report(head: Head, examples: Sequence[TaggedExample | QuestionExample], answers: Sequence[Prediction]) -> Report:
    """The figures of the answers, compared with those of the examples."""
    if head.kind == SPAN:
        right = [[answer.text for answer in example.answers] for example in examples]
        return answer_report(right, [answer.text for answer in answers])
    return span_report([example.tags for example in examples], answers)
