"""Stories of people who move and carry things, and questions such as "Where is Mary?", for `npgpt finetune --task span`:

    python -m benchmarks.stories DIR

writes DIR/stories.train.jsonl and DIR/stories.test.jsonl, and the stories of the first as text in DIR/stories.txt. They are
of the kind of tasks 1 and 2 of bAbI (Weston et al. 2015). No story is in both files.
"""
import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PEOPLE = ("Mary", "John", "Sandra", "Daniel")
PLACES = ("kitchen", "garden", "office", "hallway", "bathroom", "bedroom")
THINGS = ("football", "apple", "milk")
GOES, TAKES, DROPS = (("went to", "moved to", "travelled to"), ("picked up", "took", "got"), ("dropped", "put down", "left"))
SHORTEST, LONGEST = 2, 6                        # sentences


def story(rng: np.random.Generator) -> dict[str, object]:
    """A story, a question about it, and the answer with its place in the story."""
    text, place, carrier, known = "", {}, {}, {}               # known: where people, and things that were dropped, are
    for _ in range(rng.integers(SHORTEST, LONGEST + 1)):
        person = str(rng.choice(PEOPLE))
        held = [thing for thing in THINGS if carrier.get(thing) == person]
        near = [thing for thing in THINGS if carrier.get(thing) is None and place.get(thing) in (None, place.get(person))]
        action = rng.random()
        if person not in place or action < 0.5:
            name = str(rng.choice([name for name in PLACES if name != place.get(person)]))
            sentence = f"{person} {rng.choice(GOES)} the {name}. "
            place[person], known[person] = name, {"text": name, "answer_start": len(text) + len(sentence) - len(name) - 2}
        elif held and (action < 0.7 or not near):
            thing = str(rng.choice(held))
            sentence = f"{person} {rng.choice(DROPS)} the {thing}. "
            carrier[thing], place[thing], known[thing] = None, place[person], known[person]
        elif near:
            thing = str(rng.choice(near))
            sentence, carrier[thing] = f"{person} {rng.choice(TAKES)} the {thing}. ", person
        else:
            continue
        text += sentence
    answers = {**{f"Where is {person}?": known[person] for person in PEOPLE if person in known},
               **{f"Where is the {thing}?": known[holder or thing] for thing, holder in carrier.items()}}
    question = str(rng.choice([*answers]))
    return {"question": question, "context": text.strip(), "answers": [answers[question]]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stories", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--train", type=int, default=30_000, metavar="N", help="stories to train on (default: 30,000)")
    parser.add_argument("--test", type=int, default=1_000, metavar="N", help="stories to measure with (default: 1,000)")
    args = parser.parse_args(arguments)
    rng, stories = np.random.default_rng(0), {}
    while len(stories) < args.train + args.test:
        one = story(rng)
        stories.setdefault(one["context"], one)
    args.folder.mkdir(parents=True, exist_ok=True)
    train, test = list(stories.values())[:args.train], list(stories.values())[args.train:]
    for name, some in (("train", train), ("test", test)):
        (args.folder / f"stories.{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in some), encoding="utf-8")
    texts = (f"{one['question']} {one['context']}\n" for one in train)
    (args.folder / "stories.txt").write_text("".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
