"""Makes the golden models beside it: tiny GPT-2s of transformers, and what PyTorch computes with them.

    python tests/interop/golden/make.py            needs torch and transformers; the tests need neither

Every parameter is random, biases and gains too, in float64. A folder holds the model as save_pretrained
writes it, and golden.safetensors: ids, targets (the next ids), logits, loss, and the gradient of
the loss by every parameter, as gradient.NAME; prompt and beams, the best BEAMS continuations of it that
generate finds, where the token END closes one.
"""
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

SIZES = {"vocab_size": 7, "n_positions": 6, "n_embd": 6, "n_layer": 2, "n_head": 3}
PROMPT, BEAMS, END = 2, 3, 0
GOLDEN = {"tied": {}, "separate": {"tie_word_embeddings": False, "n_inner": 5, "layer_norm_epsilon": 1e-3}}


def make(folder: Path, fields: dict) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES, **fields)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()

    ids = torch.randint(SIZES["vocab_size"], (3, SIZES["n_positions"]))
    logits = model(ids).logits[:, :-1]
    loss = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())       # the model's own is in float32
    loss.backward()
    gradients = {f"gradient.{name}": parameter.grad for name, parameter in model.named_parameters()}
    with torch.no_grad():
        texts = model.generate(ids[:1, :PROMPT], attention_mask=torch.ones(1, PROMPT), do_sample=False, num_beams=BEAMS,
                               num_return_sequences=BEAMS, max_length=SIZES["n_positions"], eos_token_id=END, pad_token_id=END)
    save_file({"prompt": ids[0, :PROMPT].clone(), "beams": texts[:, PROMPT:].contiguous(),
               "ids": ids[:, :-1].contiguous(), "targets": ids[:, 1:].contiguous(), "loss": loss.detach(),
               "logits": logits.detach().contiguous(), **gradients}, folder / "golden.safetensors")


if __name__ == "__main__":
    for name, fields in GOLDEN.items():
        make(Path(__file__).parent / name, fields)
