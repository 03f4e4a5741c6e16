"""Writes what test_golden.py compares with: a random model, two files of examples, and what EleutherAI's
lm-evaluation-harness finds for each of them.

    python make.py model                        with npgpt: the model and the examples
    python make.py harness                      with lm_eval 0.4.13 and torch: expected.json
"""
import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = {"choices 0": 0, "choices 2": 2, "passages 0": 0}               # shots
DESCRIPTION = "Read this.\n\n"
WORDS = "the cat sat on a mat while rain fell and birds sang über café 雨".split()


def make_model():
    import numpy as np

    from npgpt.interop.huggingface import save
    from npgpt.model.config import GPTConfig
    from npgpt.model.heads import language_model_table
    from npgpt.model.model import Model
    from npgpt.model.parameters import initial_parameters
    from npgpt.text.raw_bytes import ByteTokenizer
    from npgpt.text.vocabulary import with_special_tokens

    tokenizer = with_special_tokens(ByteTokenizer(), ["<|endoftext|>"])
    config = GPTConfig(vocab_size=257, n_positions=96, n_embd=8, n_layer=2, n_head=2, initializer_range=0.5,
                       bos_token_id=256, eos_token_id=256)
    save(HERE / "model", Model(initial_parameters(language_model_table(config), 0, np.float64), config, tokenizer))
    rng = random.Random(0)

    def words(most):
        return " ".join(rng.choices(WORDS, k=rng.randint(1, most)))

    choices = [{"context": words(6) + rng.choice(["?", "? ", ":\n"]), "choices": [words(3) for _ in range(rng.randint(2, 4))],
                "answer": rng.randrange(2)} for _ in range(10)]
    write("choices.jsonl", choices + choices[:1])              # one of them twice
    write("passages.jsonl", [{"text": f"{words(30)} {words(1)}"} for _ in range(8)])


def write(name, examples):
    (HERE / name).write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in examples), encoding="utf-8")


def run_harness():
    import torch
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer, GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(HERE / "model", dtype=torch.float64).eval()
    harness = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(HERE / "model"), batch_size=1)
    expected = {}
    for name, shots in RUNS.items():
        kind = name.split()[0]
        settings = {
            "choices": dict(output_type="multiple_choice", doc_to_text="{{context}}", doc_to_choice="{{choices}}",
                            doc_to_target="{{answer}}", description=DESCRIPTION, metric_list=[
                                dict(metric=name, aggregation="mean", higher_is_better=True)
                                for name in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")]),
            "passages": dict(output_type="loglikelihood", doc_to_text="{{text.split(' ')[:-1]|join(' ')}}",
                             doc_to_target="{{' ' + text.split(' ')[-1]}}", metric_list=[
                                 dict(metric="perplexity", aggregation="perplexity", higher_is_better=False),
                                 dict(metric="acc", aggregation="mean", higher_is_better=True)])}[kind]
        task = ConfigurableTask(config=dict(
            task=name, dataset_path="json", dataset_kwargs={"data_files": {"test": str(HERE / f"{kind}.jsonl")}},
            test_split="test", fewshot_split="test", num_fewshot=shots, **settings))
        task.set_fewshot_seed(1234)
        task.build_all_requests(limit=None, rank=0, world_size=1)
        found: dict = {}
        for request, (log_probability, greedy) in zip(task.instances, harness.loglikelihood(task.instances)):
            found.setdefault(request.doc_id, (request.doc, []))[1].append((float(log_probability), bool(greedy)))
        results = [task.process_results(*found[i]) for i in sorted(found)]
        expected[name] = {"items": [found[i][1] for i in sorted(found)],
                          "figures": {metric: task.aggregation()[metric]([one[metric] for one in results])
                                      for metric in results[0]}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1, default=float) + "\n")


if __name__ == "__main__":
    {"model": make_model, "harness": run_harness}[sys.argv[1]]()
