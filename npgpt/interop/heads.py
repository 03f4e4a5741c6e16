"""Heads for labelled examples in Hugging Face's files: their tensors, class names, and fields of config.json."""
from collections.abc import Mapping

from npgpt.errors import InputError
from npgpt.interop.family import Family, Stored, plain, transposed
from npgpt.model.heads import (CLASSIFICATION, EXPONENTS, KINDS, MULTIPLE_CHOICE, REGRESSION, SPAN, TAGGING, Head,
                               HeadParameters)

LAYERS = {CLASSIFICATION: "score", REGRESSION: "score", MULTIPLE_CHOICE: "multiple_choice_head.summary",
          TAGGING: "classifier", SPAN: "qa_outputs"}
CLASSES = {CLASSIFICATION: "ForSequenceClassification", REGRESSION: "ForSequenceClassification",
           MULTIPLE_CHOICE: "DoubleHeadsModel", TAGGING: "ForTokenClassification", SPAN: "ForQuestionAnswering"}
PROBLEMS = {CLASSIFICATION: "single_label_classification", REGRESSION: "regression"}
MOST_LABELS = 2**16
SCALES = {2.0**exponent for exponent in range(EXPONENTS[0], EXPONENTS[1] + 1)}
SEVERAL = "npgpt_heads"                         # describes all heads, where they need more than transformers has


def head_tensors(heads: tuple[Head, ...], parameters: tuple[HeadParameters, ...]) -> dict[str, Stored]:
    """The tensors of the first head have the names that transformers gives them, those of others begin with their task's."""
    stored = {}
    for i, (head, p) in enumerate(zip(heads, parameters, strict=True)):
        layer = f"{head.name}.{LAYERS[head.kind]}" if i else LAYERS[head.kind]
        stored[f"{layer}.weight"] = transposed(p.w)._replace(factor=head.scale)
        if p.b is not None:
            stored[f"{layer}.bias"] = plain(p.b)
    return stored


def head_fields(family: Family, heads: tuple[Head, ...]) -> dict[str, object]:
    """The fields of config.json that tell transformers the class of the first head, and its labels."""
    if not heads:
        return {"architectures": [family.class_prefix + family.language_model]}
    first = heads[0]
    found: dict[str, object] = {"architectures": [family.class_prefix + CLASSES[first.kind]]}
    if first.kind in PROBLEMS:
        found["problem_type"] = PROBLEMS[first.kind]
    if first.kind == MULTIPLE_CHOICE:
        found |= {"summary_type": "cls_index", "summary_use_proj": True, "summary_proj_to_labels": True,
                  "summary_activation": None}
    labels = first.labels or (("LABEL_0",) if first.kind in (REGRESSION, MULTIPLE_CHOICE) else ())
    if labels:
        found["id2label"] = {str(i): label for i, label in enumerate(labels)}
        found["label2id"] = {label: i for i, label in enumerate(labels)}
    if len(heads) > 1 or first.both_orders or first.scale != 1:
        found[SEVERAL] = [head._asdict() for head in heads]
    return found


def parse_heads(stored: Mapping, family: Family) -> tuple[Head, ...]:
    """The heads that config.json describes. Raises InputError for one that npgpt does not support."""
    if SEVERAL in stored:
        return parse_several(stored[SEVERAL])
    architectures = stored.get("architectures")
    name = architectures[0] if isinstance(architectures, list) and architectures else ""
    if not isinstance(name, str) or not name.startswith(family.class_prefix):
        return ()
    suffix = name.removeprefix(family.class_prefix)
    kind = next((kind for kind in KINDS if CLASSES[kind] == suffix), None)
    if kind is None:
        return ()
    labels = parse_labels(stored.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"}))
    if kind == CLASSIFICATION:
        problem = stored.get("problem_type")
        if problem == "regression" or problem is None and len(labels) == 1:
            return (Head(REGRESSION),)
        if problem not in (None, PROBLEMS[CLASSIFICATION]):
            raise InputError(f"problem_type {problem!r} is not supported: only {', '.join(PROBLEMS.values())}")
    return (Head(kind, labels if kind in (CLASSIFICATION, TAGGING) else ()),)


def parse_labels(stored: object) -> tuple[str, ...]:
    """The labels of id2label, {"0": label, ...}. Raises InputError."""
    few = isinstance(stored, dict) and len(stored) <= MOST_LABELS
    labels = [stored.get(str(i)) for i in range(len(stored))] if few else []
    if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise InputError('id2label must give different labels to the numbers from 0 on: {"0": "no", "1": "yes"}')
    return tuple(labels)


def parse_several(stored: object) -> tuple[Head, ...]:
    """Raises InputError unless each is {"kind", "labels", "name"}, and no name occurs twice."""
    try:
        heads = tuple(Head(head["kind"], tuple(head["labels"]), head["name"], head.get("both_orders", False),
                           head.get("scale", 1.0)) for head in stored)
    except (TypeError, KeyError, AttributeError):
        heads = ()
    if not (1 <= len(heads) <= MOST_LABELS and all(map(is_right, heads)) and len({head.name for head in heads}) == len(heads)):
        raise InputError(f"{SEVERAL} must be a list of heads with kind ({', '.join(KINDS)}), labels, and a name of their "
                         "own")
    return heads


def is_right(head: Head) -> bool:
    """Whether the fields of a head from a file are of the right types, with labels where the kind needs them."""
    return (head.kind in KINDS and isinstance(head.name, str) and isinstance(head.both_orders, bool)
            and all(isinstance(label, str) for label in head.labels)
            and (len(head.labels) > 0 or head.kind not in (CLASSIFICATION, TAGGING))
            and isinstance(head.scale, float) and head.scale in (SCALES if head.kind == REGRESSION else {1.0}))
