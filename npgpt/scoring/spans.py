"""How well entities were tagged: one counts as right only if its boundaries and its type are (Tjong Kim Sang, CoNLL-2000).

All figures equal seqeval's, and so those of conlleval. Tags are O (outside), or B- (begin), I- (inside), E- (end) or S-
(single) and a type; a bare B or I has the type "_".
"""
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.errors import InputError
from npgpt.scoring.f1 import Scores, macro, require_pairs, scores, table, weighted


class Entity(NamedTuple):
    type: str
    start: int                                  # its tokens are tokens[start:stop]
    stop: int


class SpanReport(NamedTuple):
    """The entities of each type, and of all. Prints as a table."""
    types: dict[str, Scores]
    micro: Scores                               # all entities counted together

    @property
    def macro(self) -> Scores:
        return macro(self.types.values())

    @property
    def weighted(self) -> Scores:
        return weighted(self.types.values())

    def __str__(self) -> str:
        return "\n".join(table({**self.types, "micro average": self.micro, "macro average": self.macro,
                                "weighted average": self.weighted}))

    def as_json(self) -> dict:
        """All figures, as JSON has them."""
        return {"micro": self.micro._asdict(), "macro": self.macro._asdict(), "weighted": self.weighted._asdict(),
                "types": {name: of_type._asdict() for name, of_type in self.types.items()}}


def span_report(actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], strict: bool = False) -> SpanReport:
    """The tags of N texts, and what was predicted for them. Raises InputError if a text has more or fewer of these."""
    require_pairs(actual, predicted)
    correct, found, right = Counter(), Counter(), Counter()
    for i, (tags, chosen) in enumerate(zip(actual, predicted)):
        if len(tags) != len(chosen):
            raise InputError(f"text {i} has {len(tags):,} tags, and {len(chosen):,} were predicted")
        these, those = set(entities(tags, strict)), set(entities(chosen, strict))
        for counter, counted in ((correct, these & those), (found, those), (right, these)):
            counter.update(entity.type for entity in counted)
    types = {name: scores(correct[name], found[name], right[name]) for name in sorted({*found, *right})}
    return SpanReport(types, scores(correct.total(), found.total(), right.total()))


def entities(tags: Sequence[str], strict: bool = False) -> list[Entity]:
    """The entities of one text. An inside tag (I-, E-) that continues none begins one, as in conlleval.

    strict: it begins none, and so belongs to none (IOB2 to the letter; seqeval's mode "strict" with scheme IOB2).
    """
    found, start, before = [], None, ("O", "")
    for i, tag in enumerate([*tags, "O"]):
        now = prefix, name = split_tag(tag)
        continues = start is not None and prefix in "IE" and before[0] in "BI" and before[1] == name
        if start is not None and not continues:
            found.append(Entity(before[1], start, i))
            start = None
        if prefix in "BS" or prefix in "IE" and not continues and not strict:
            start = i
        before = now
    return found


def split_tag(tag: str) -> tuple[str, str]:
    """B-PER -> B, PER"""
    prefix, _, name = tag.partition("-")
    if prefix not in ("O", "B", "I", "E", "S"):
        raise InputError(f"the tag {tag!r} is neither O nor B-, I-, E- or S- and a type")
    return prefix, name or "_"
