"""npgpt evaluate on pairs of texts: how near an encoder-decoder's translations or summaries are to the right ones."""
import argparse
import json
import sys

from npgpt.commands.progress import Progress
from npgpt.commands.translate import load_translator
from npgpt.commands.translation import read_pairs
from npgpt.errors import InputError
from npgpt.files import write_whole
from npgpt.generation.translate import TOGETHER, translate
from npgpt.json_files import write_json
from npgpt.scoring.summaries import summary_report
from npgpt.scoring.translation import translation_report
from npgpt.terminal import harmless


def run(args: argparse.Namespace) -> int:
    if args.beams < 1:
        raise InputError(f"--beams must be 1 or more, not {args.beams}")
    model, examples = load_translator(args.model), read_pairs(args.data)
    found = []
    with Progress() as progress:
        for start in range(0, len(examples), TOGETHER):
            found += translate(model, [example.source for example in examples[start:start + TOGETHER]], args.beams,
                               cut_longer=True)
            progress.status(f"{len(found):,} of {len(examples):,} texts")
    right = [example.target for example in examples]
    exact = sum(map(str.__eq__, right, found)) / len(found)
    translation, summary = translation_report(right, found), summary_report(right, found)
    print(harmless(f"{', '.join(map(str, args.data))}\nexact     {100 * exact:.2f}\n{translation}\n\n{summary}", sys.stdout))
    if args.json:
        write_json(args.json, {"exact": exact, **translation.as_json(), **summary.as_json()})
    if args.items:
        lines = [json.dumps({"source": example.source, "target": example.target, "found": text}, ensure_ascii=False) + "\n"
                 for example, text in zip(examples, found)]
        write_whole(args.items, ["".join(lines).encode()])
    return 0
