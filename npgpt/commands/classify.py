"""npgpt classify: the answers of a fine-tuned model to texts, with probabilities; or tags for the words of texts."""
import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from npgpt.commands.arguments import for_shell, model_directory, path, text_of
from npgpt.commands.classify_tokens import shown_answers
from npgpt.commands.finetune import FINETUNED
from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.interop.huggingface import load
from npgpt.model.heads import MULTIPLE_CHOICE, Head
from npgpt.model.model import Model
from npgpt.tasks.inputs import Inputs, special_ids, transformed
from npgpt.tasks.prediction import Prediction, predictions
from npgpt.tasks.token_prediction import KINDS as TOKEN_KINDS
from npgpt.terminal import harmless
from npgpt.text.examples import ChoiceExample, PairExample, TextExample

AT_ONCE = 256                                   # texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=path, nargs="?", metavar="FILE",
                        help="a text in each line, or - for standard input; a tab stands between the two texts of a pair, "
                             "between a context and each choice, and between a question and a text")
    parser.add_argument("--model", type=model_directory, default=FINETUNED, metavar="DIR",
                        help=f"a model with a head for labelled examples (default: {FINETUNED})")
    parser.add_argument("--text", nargs="+", default=[], metavar="TEXT",
                        help="texts; for tagging, in words with spaces between them")
    parser.add_argument("--pair", nargs=2, action="append", default=[], metavar="TEXT",
                        help="two texts, or a question and a text that answers it; may be repeated")
    parser.add_argument("--choices", nargs="+", action="append", default=[], metavar="TEXT",
                        help="a context, and two choices or more; may be repeated")
    parser.add_argument("--task", metavar="NAME", help="which head, for a model with several (default: the first)")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each text")


def run(args: argparse.Namespace) -> int:
    if args.model == FINETUNED and not FINETUNED.exists():
        raise InputError(f"there is no model in {FINETUNED} yet: npgpt finetune makes one there, or --model names another")
    parts = [*((text,) for text in args.text), *args.pair, *args.choices]
    if args.file:
        parts += [line.split("\t") for line in text_of(args.file).splitlines()]
    if not parts:
        raise InputError("name what to classify: --text TEXT, a file with a text in each line, or - for standard input")
    model = load(args.model)
    which = find_head(model, args.model, args.task)
    head = model.heads[which]
    source = "standard input" if str(args.file) == "-" else str(args.file)
    given = len(parts) - len(args.text) - len(args.pair) - len(args.choices)
    names = [f"{source}: line {i - len(parts) + given + 1}" if i >= len(parts) - given else f"text {i + 1}"
             for i in range(len(parts))]
    if head.kind in TOKEN_KINDS:
        for line in shown_answers(model, parts, names, args.json):
            print(line, flush=True)
        return 0
    inputs = [inputs_of(one, head, model, name) for one, name in zip(parts, names)]
    if cut := sum(one.cut for one in inputs):
        Progress().line(f"npgpt: {cut:,} of {len(inputs):,} texts are longer than the context of {model.config.n_positions} "
                        "tokens, and are cut")
    for texts, found in answers(parts, inputs, model, which):
        print(as_json(texts, found, head) if args.json else shown(texts, found, head, len(parts) == 1), flush=True)
    return 0


def find_head(model: Model, folder: Path, name: str | None) -> int:
    """The number of the head with a name, or the first. Raises InputError if there is none."""
    if not model.heads:
        raise InputError(f"{folder} holds a language model without a head for labels: npgpt finetune --init "
                         f"{for_shell(folder)} trains one")
    names = [head.name for head in model.heads]
    if name is not None and name not in names:
        known = f"they are {', '.join(names)}" if len(names) > 1 else "leave out --task"
        raise InputError(f"{folder} has no task {name!r}: {known}")
    if model.tokenizer is None:
        raise InputError(f"{folder} holds no tokenizer, so it cannot read a text")
    which = names.index(name) if name else 0
    if model.heads[which].kind in TOKEN_KINDS and len(model.heads) > 1:
        raise InputError(f"{folder} has several heads, and that for {model.heads[which].kind} must be the only one")
    return which


def inputs_of(parts: Sequence[str], head: Head, model: Model, where: str) -> Inputs:
    """A text, a pair or a context with choices as sequences. Raises InputError, beginning with `where`."""
    try:
        if not all(part.strip() for part in parts):
            raise InputError("a text is empty")
        if head.kind == MULTIPLE_CHOICE:
            if len(parts) < 3:
                raise InputError("the model chooses: give a context and two choices or more, with tabs between them")
            example = ChoiceExample(parts[0], tuple(parts[1:]), 0, 0)
        elif len(parts) > 2:
            raise InputError(f"{len(parts)} texts with tabs between them; the model reads one or two")
        elif head.both_orders and len(parts) == 1:
            raise InputError("the model compares two texts: give both, with a tab between them")
        else:
            example = TextExample(parts[0], 0, 0) if len(parts) == 1 else PairExample(*parts, 0, 0)
        return transformed(example, 0, model.tokenizer.encode, special_ids(model.tokenizer), model.config.n_positions,
                           head.both_orders)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def answers(parts: Sequence[Sequence[str]], inputs: Sequence[Inputs], model: Model,
            which: int) -> Iterator[tuple[Sequence[str], Prediction]]:
    for start in range(0, len(parts), AT_ONCE):
        yield from zip(parts[start:start + AT_ONCE], predictions(model, which, inputs[start:start + AT_ONCE]))


def as_json(texts: Sequence[str], found: Prediction, head: Head) -> str:
    if head.kind == MULTIPLE_CHOICE:
        asked = {"context": texts[0], "choices": list(texts[1:]), "answer": found.answer}
    else:
        names = ("text",) if len(texts) == 1 else ("sentence1", "sentence2")
        asked = {**dict(zip(names, texts)), "label": found.answer}
    probabilities = {str(name): share for name, share in found.probabilities.items()}
    return json.dumps({**asked, **({"probabilities": probabilities} if probabilities else {})}, ensure_ascii=False)


def shown(texts: Sequence[str], found: Prediction, head: Head, alone: bool) -> str:
    """Of a single text all answers, each in a line; of one among several texts the likeliest, and the text."""
    named = {texts[1 + name] if head.kind == MULTIPLE_CHOICE else name: share for name, share in found.probabilities.items()}
    if not named:
        return f"{found.answer:.4f}" if alone else harmless(f"{found.answer:.4f}  {'  '.join(texts)}", sys.stdout)
    if alone:
        return "\n".join(harmless(f"{share:.4f}  {name}", sys.stdout) for name, share in named.items())
    answer, share = next(iter(named.items()))
    asked = texts[:1] if head.kind == MULTIPLE_CHOICE else texts
    return harmless(f"{share:.4f}  {answer}  {'  '.join(asked)}", sys.stdout)
