"""Makes the models with heads in the folder heads: tiny models of transformers' classes for labelled examples.

    python tests/interop/golden/make_heads.py      needs torch and transformers; the tests need neither

Every parameter is random, in float64. A folder holds the model as save_pretrained writes it, and golden.safetensors: ids
and the head's logits.
"""
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

SIZES = {"vocab_size": 7, "n_positions": 5, "n_embd": 6, "n_layer": 1, "n_head": 3, "bos_token_id": 1, "eos_token_id": 0}
NEO = {"vocab_size": 7, "max_position_embeddings": 5, "hidden_size": 8, "num_layers": 2, "num_heads": 2, "window_size": 2,
       "attention_types": [[["global", "local"], 1]], "bos_token_id": 1, "eos_token_id": 0}
LABELS = {"id2label": {0: "no", 1: "perhaps", 2: "yes"}, "label2id": {"no": 0, "perhaps": 1, "yes": 2}}
CLASSES = {"classification": ("OpenAIGPTForSequenceClassification", {**SIZES, **LABELS, "pad_token_id": 6}),
           "regression": ("GPT2ForSequenceClassification", {**SIZES, "num_labels": 1, "pad_token_id": 6}),
           "multiple-choice": ("OpenAIGPTDoubleHeadsModel", SIZES),
           "tagging": ("GPT2ForTokenClassification", {**SIZES, **LABELS}),
           "span": ("GPTNeoForQuestionAnswering", NEO)}


def make(folder: Path, name: str, fields: dict) -> None:
    torch.manual_seed(0)
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**fields)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    ids = torch.randint(6, (2, 5))                                  # 6 would be padding
    with torch.no_grad():
        if "DoubleHeads" in name:                                   # two choices for one example
            logits = model(ids[None], mc_token_ids=torch.full((1, 2), 4)).mc_logits[0, :, None]
        elif "QuestionAnswering" in name:
            output = model(ids)
            logits = torch.stack([output.start_logits, output.end_logits], dim=-1)
        else:
            logits = model(ids).logits
    save_file({"ids": ids, "logits": logits.contiguous()}, folder / "golden.safetensors")


if __name__ == "__main__":
    for kind, (name, fields) in CLASSES.items():
        make(Path(__file__).parent / "heads" / kind, name, fields)
