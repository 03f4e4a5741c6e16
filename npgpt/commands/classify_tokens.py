"""npgpt classify for heads of tokens: words with their tags, and answers to questions."""
import json
import sys
from collections.abc import Iterator, Sequence

from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.model.heads import SPAN, Head
from npgpt.model.model import Model
from npgpt.tasks.token_prediction import Prediction, token_inputs, token_predictions
from npgpt.terminal import harmless
from npgpt.text.examples import QuestionExample, TaggedExample

NO_ANSWER = "(no answer)"


def shown_answers(model: Model, parts: Sequence[Sequence[str]], names: Sequence[str], as_json: bool) -> Iterator[str]:
    """The answers to texts, or to questions with a text each. names: of these, for errors. Raises InputError for a wrong
    number of parts.
    """
    head, = model.heads
    examples = [example_of(one, head, name) for one, name in zip(parts, names)]
    inputs = []
    for example, name in zip(examples, names):
        try:
            inputs.append(token_inputs(example, head, model.tokenizer, model.config, with_targets=False))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    if cut := sum(one.cut for one in inputs):
        Progress().line(f"npgpt: {cut:,} of {len(inputs):,} texts are longer than the context of {model.config.n_positions} "
                        "tokens, and are cut")
    for i, (example, found) in enumerate(zip(examples, token_predictions(model, examples, inputs))):
        between = "\n" * (i > 0 and head.kind != SPAN)
        yield json_line(example, found, head) if as_json else between + lines(example, found, head)


def example_of(parts: Sequence[str], head: Head, name: str) -> TaggedExample | QuestionExample:
    if head.kind == SPAN:
        if len(parts) != 2 or not all(part.strip() for part in parts):
            raise InputError(f"{name}: the model answers a question from a text: give both, with a tab between them")
        return QuestionExample(*parts, (), 0)
    if len(parts) != 1 or not parts[0].strip():
        raise InputError(f"{name}: the model tags the words of a text: give one that is not empty")
    return TaggedExample(tuple(parts[0].split()), (), 0)


def json_line(example: TaggedExample | QuestionExample, found: Prediction, head: Head) -> str:
    """The fields of examples; an answer has its probability, too."""
    if head.kind == SPAN:
        answers = [{"text": found.text, "answer_start": found.start}] if found.text else []
        fields = {"question": example.question, "context": example.context, "answers": answers,
                  "probability": found.probability}
    else:
        fields = {"tokens": example.tokens, "tags": found}
    return json.dumps(fields, ensure_ascii=False)


def lines(example: TaggedExample | QuestionExample, found: Prediction, head: Head) -> str:
    """An answer in a line, with its probability; or each word in a line, with its tag."""
    if head.kind == SPAN:
        return harmless(f"{found.probability:.4f}  {found.text or NO_ANSWER}", sys.stdout)
    width = max(map(len, example.tokens))
    return "\n".join(harmless(f"{word:{width}}  {tag}", sys.stdout) for word, tag in zip(example.tokens, found))
