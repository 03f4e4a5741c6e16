"""npgpt evaluate on files of examples, by a language model that was not trained for them: it reads each as a prompt, after
other examples if shots are asked for.
"""
import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from npgpt.commands.arguments import count, output_file, path
from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.files import write_whole
from npgpt.interop.huggingface import load_model
from npgpt.json_files import write_json
from npgpt.model.model import Model
from npgpt.scoring.answers import answer_report
from npgpt.scoring.choices import ChoiceLikelihood, choice_report, ranked
from npgpt.scoring.few_shot import SEED, Item, Prompt, items_of, prompts
from npgpt.scoring.free_answers import STOP, free_answer
from npgpt.scoring.last_word import last_word_report
from npgpt.scoring.likelihood import Continuation, continuation, likelihoods
from npgpt.terminal import harmless
from npgpt.text.example_files import read_examples
from npgpt.text.examples import ChoiceExample, PairExample, PassageExample, TextExample
from npgpt.text.tokenizer import load_tokenizer

NEW_TOKENS = 32


class Answers(NamedTuple):
    """What a model has answered."""
    report: Any                                 # prints as a table, and has as_json()
    each: list[dict]                            # of each item, for --items
    cut: int                                    # of how many items the prompt did not fit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "examples for a language model",
        "A file of labelled examples, given to a model that was not fine-tuned for them, is turned into prompts. Choices "
        "and labels are ranked by likelihood; questions, and texts to translate, are answered freely; of a file with the "
        "field text alone, the last word of each text is predicted.")
    group.add_argument("--shots", type=count, metavar="K", default=0,
                       help="how many other examples, with their answers, precede each (default: 0)")
    group.add_argument("--train", type=path, metavar="FILE", help="draw the shots from FILE (default: from --data)")
    group.add_argument("--seed", type=count, metavar="N", default=SEED, help=f"draws the shots (default: {SEED})")
    group.add_argument("--description", metavar="TEXT", type=line_breaks, default="",
                       help="stands at the beginning of every prompt; \\n is a line break")
    group.add_argument("--prompt", metavar="TEXT", type=line_breaks,
                       help='the question, with fields in braces, such as "{text}\\nIt was" (default: {text} and the like)')
    group.add_argument("--beams", type=count, metavar="N", default=1, help="free answers by beam search (default: greedy)")
    group.add_argument("--max-new-tokens", type=count, metavar="N", default=NEW_TOKENS,
                       help=f"the longest free answer (default: {NEW_TOKENS})")
    group.add_argument("--stop", metavar="TEXT", type=line_breaks, default=STOP,
                       help="ends a free answer (default: \\n, the end of the line)")
    group.add_argument("--items", type=output_file, metavar="FILE",
                       help="write what was found for each example there (JSON lines)")


def line_breaks(text: str) -> str:
    return text.replace("\\n", "\n")


def run(args: argparse.Namespace) -> int:
    for flag, value, least in (("--shots", args.shots, 0), ("--seed", args.seed, 0), ("--beams", args.beams, 1),
                               ("--max-new-tokens", args.max_new_tokens, 1)):
        if value < least:
            raise InputError(f"{flag} must be {least} or more, not {value}")
    if not args.stop:
        raise InputError("--stop must not be empty")
    if len(args.data) > 1:
        raise InputError("one file of examples is evaluated at a time: name a single one with --data")
    file, = args.data
    examples = read_examples(file)
    with errors_in(file):
        items = items_of(examples, args.prompt)
    pool = shots_of(args.train, type(examples[0]), args.prompt) if args.train else items
    model = Model(*load_model(args.model), load_tokenizer(args.model))
    answer = (score_choices if isinstance(examples[0], (ChoiceExample, TextExample, PairExample)) else
              score_last_words if isinstance(examples[0], PassageExample) else answer_freely)
    with Progress() as progress, errors_in(file):
        questions = [*prompts(items, pool, args.shots, args.description, args.seed, args.train is None)]
        found = answer(model, items, questions, args, progress)

    shots = f"{args.shots} shot{'s' * (args.shots != 1)}"
    print(harmless(f"{file}, {shots}\n{found.report}", sys.stdout))
    if found.cut:
        print(f"{found.cut:,} of {len(items):,} prompts did not fit the context of {model.config.n_positions:,} tokens: "
              "their beginnings were cut off")
    if args.json:
        write_json(args.json, {**found.report.as_json(), "shots": args.shots, "cut": found.cut})
    if args.items:
        write_whole(args.items, [(json.dumps({"line": item.line, **one}, ensure_ascii=False) + "\n").encode()
                                 for item, one in zip(items, found.each)])
    return 0


def shots_of(file: Path, kind: type, template: str | None) -> list[Item]:
    """The items of --train. Raises InputError for another kind of examples than those of --data."""
    examples = read_examples(file)
    if type(examples[0]) is not kind:
        raise InputError(f"{file}: its examples have other fields than those of --data")
    with errors_in(file):
        return items_of(examples, template)


@contextlib.contextmanager
def errors_in(file: Path) -> Iterator[None]:
    """Errors name the file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def encoded(model: Model, item: Item, prompt: Prompt, answer: str) -> Continuation:
    """An answer after its prompt. Raises InputError, naming the line, if it has no tokens, or if no shot is left."""
    try:
        found = continuation(prompt.text, f" {answer}", model.tokenizer, model.config)
        if found.cut and continuation(prompt.last, f" {answer}", model.tokenizer, model.config).cut:
            require_no_shots(item, prompt, model)
    except InputError as error:
        raise InputError(f"line {item.line}: {error}") from None
    return found


def require_no_shots(item: Item, prompt: Prompt, model: Model) -> None:
    """Raise InputError if there are shots, the last of which does not fit."""
    if prompt.last != item.question:
        raise InputError(f"not one of the shots fits the model's context of {model.config.n_positions:,} tokens together "
                         "with the question: ask for --shots 0")


def score_choices(model: Model, items: Sequence[Item], questions: Sequence[Prompt], args: argparse.Namespace,
                  progress: Progress) -> Answers:
    after = [encoded(model, item, prompt, text) for item, prompt in zip(items, questions) for text in item.answers]
    texts = [*dict.fromkeys(text for item in items for text in item.answers)]
    alone = [continuation("", f" {text}", model.tokenizer, model.config) for text in texts]
    found = likelihoods(model, after + alone, counted(progress, len(after) + len(alone), "choices"))
    log_probability_alone = {text: one.log_probability for text, one in zip(texts, found[len(after):])}
    rest = iter(found)
    choices = [[ChoiceLikelihood(text, one.tokens, one.log_probability, log_probability_alone[text])
                for text, one in zip(item.answers, rest)] for item in items]
    each = [{"answer": item.right, "predicted": ranked(one), "choices": [choice._asdict() for choice in one]}
            for item, one in zip(items, choices)]
    return Answers(choice_report([item.right for item in items], choices), each, cut_items(items, after))


def cut_items(items: Sequence[Item], continuations: Sequence[Continuation]) -> int:
    """Of how many items the prompt of one of the answers, at least, was cut."""
    rest = iter(continuations)
    return sum(any([one.cut > 0 for _, one in zip(item.answers, rest)]) for item in items)


def score_last_words(model: Model, items: Sequence[Item], questions: Sequence[Prompt], args: argparse.Namespace,
                     progress: Progress) -> Answers:
    words = [encoded(model, item, prompt, item.answers[0]) for item, prompt in zip(items, questions)]
    found = likelihoods(model, words, counted(progress, len(words), "words"))
    each = [{"word": item.answers[0], **one._asdict()} for item, one in zip(items, found)]
    return Answers(last_word_report(found), each, cut_items(items, words))


def answer_freely(model: Model, items: Sequence[Item], questions: Sequence[Prompt], args: argparse.Namespace,
                  progress: Progress) -> Answers:
    given, cut = [], 0
    for number, (item, prompt) in enumerate(zip(items, questions), 1):
        try:
            answer, dropped = free_answer(model, prompt.text, args.max_new_tokens, args.stop, args.beams)
            if dropped and len(model.tokenizer.encode(prompt.last)) > model.config.n_positions - args.max_new_tokens:
                require_no_shots(item, prompt, model)
        except InputError as error:
            raise InputError(f"line {item.line}: {error}") from None
        given.append(answer)
        cut += dropped > 0
        progress.status(f"{number:,} of {len(items):,} answers")
    each = [{"answers": item.answers, "predicted": answer} for item, answer in zip(items, given)]
    return Answers(answer_report([item.answers for item in items], given), each, cut)


def counted(progress: Progress, total: int, unit: str) -> Callable[[int], None]:
    return lambda done: progress.status(f"{done:,} of {total:,} {unit}")
