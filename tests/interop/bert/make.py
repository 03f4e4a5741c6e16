"""Makes the golden models beside it: tiny BERTs of transformers, and what PyTorch computes with them.

    python tests/interop/bert/make.py              needs torch and transformers; the tests need neither

Every parameter is random, biases and gains too, in float64. A folder holds the model as save_pretrained writes it, and
golden.safetensors: ids with padding, segments, targets, logits, loss, and the gradient of the loss by every parameter, as
gradient.NAME.
"""
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM

SIZES = {"vocab_size": 11, "max_position_embeddings": 8, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 3,
         "intermediate_size": 7}
PAD, LENGTHS = 2, (8, 5, 1)
GOLDEN = {"tied": {}, "untied": {"tie_word_embeddings": False, "hidden_act": "gelu_new", "layer_norm_eps": 1e-3,
                                 "type_vocab_size": 3}}


def make(folder: Path, fields: dict) -> None:
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**SIZES, pad_token_id=PAD, **fields)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)

    shape = len(LENGTHS), max(LENGTHS)
    real = torch.arange(shape[1]) < torch.tensor(LENGTHS)[:, None]
    ids = torch.where(real, torch.randint(PAD + 1, SIZES["vocab_size"], shape), PAD)
    segments = torch.where(real, torch.randint(2, shape), 0)
    targets = torch.where(real & (torch.rand(shape) < 0.5), torch.randint(SIZES["vocab_size"], shape), -100)
    logits = model(ids, attention_mask=real.long(), token_type_ids=torch.zeros_like(ids)).logits
    loss = cross_entropy(logits.flatten(0, 1), targets.flatten())          # the model's own is in float32
    loss.backward()
    gradients = {f"gradient.{name}": parameter.grad for name, parameter in model.named_parameters()
                 if parameter.grad is not None}                            # an untied head has a bias that is not used
    with torch.no_grad():
        segmented = model(ids, attention_mask=real.long(), token_type_ids=segments).logits
    save_file({"ids": ids, "segments": segments, "targets": targets, "loss": loss.detach(), "logits": logits.detach(),
               "segmented_logits": segmented, **gradients}, folder / "golden.safetensors")


if __name__ == "__main__":
    for name, fields in GOLDEN.items():
        make(Path(__file__).parent / name, fields)
