"""Makes the golden models beside it: tiny models of transformers, and what PyTorch computes with them.

    python tests/interop/golden/make.py            needs torch and transformers; the tests need neither

Every parameter is random, biases and gains too, in float64. A folder holds the model as save_pretrained
writes it, and golden.safetensors: ids, targets (the next ids), logits, loss, and the gradient of
the loss by every parameter, as gradient.NAME; prompt and beams, the best BEAMS continuations of it that
generate finds, where the token END closes one.

GPT-Neo attends in float32. So its logits are there as float32_logits, and the others are those of a GPT-2 with the same
weights, whose attention is given GPT-Neo's masks. GPT-Neo does not divide by sqrt(D); gradients by its queries are those
by sqrt(D) times its matrix, which npgpt has.
"""
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoConfig, GPTNeoForCausalLM, OpenAIGPTConfig, OpenAIGPTLMHeadModel

SIZES = {"vocab_size": 7, "n_positions": 6, "n_embd": 6, "n_layer": 2, "n_head": 3}
NEO = {"vocab_size": 7, "max_position_embeddings": 6, "hidden_size": 8, "num_layers": 3, "num_heads": 2, "window_size": 2,
       "attention_types": [[["global", "local"], 1], [["global"], 1]], "bos_token_id": 1, "eos_token_id": 0}
NO_DROPOUT = {"resid_dropout": 0.0, "embed_dropout": 0.0, "attention_dropout": 0.0}
PROMPT, BEAMS, END = 2, 3, 0
GOLDEN = {"tied": (GPT2LMHeadModel, GPT2Config(**SIZES)),
          "separate": (GPT2LMHeadModel, GPT2Config(**SIZES, tie_word_embeddings=False, n_inner=5, layer_norm_epsilon=1e-3)),
          "openai_gpt": (OpenAIGPTLMHeadModel, OpenAIGPTConfig(**SIZES)),
          "gpt_neo": (GPTNeoForCausalLM, GPTNeoConfig(**NEO, **NO_DROPOUT))}


def make(folder: Path, model_class: type, config) -> None:
    torch.manual_seed(0)
    model = model_class(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()

    ids = torch.randint(config.vocab_size, (3, config.max_position_embeddings))
    is_neo = model_class is GPTNeoForCausalLM
    referee = masked_gpt2(model) if is_neo else model
    logits = referee(ids).logits[:, :-1]
    loss = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())       # the model's own is in float32
    loss.backward()
    gradients = dict(neo_tensors(model, referee)) if is_neo else {name: p.grad for name, p in model.named_parameters()}
    golden = {f"gradient.{name}": gradient.contiguous() for name, gradient in gradients.items()}
    with torch.no_grad():
        if is_neo:
            golden["float32_logits"] = model(ids).logits[:, :-1].contiguous()
        texts = model.generate(ids[:1, :PROMPT], attention_mask=torch.ones(1, PROMPT), do_sample=False, num_beams=BEAMS,
                               num_return_sequences=BEAMS, max_length=ids.shape[1], eos_token_id=END, pad_token_id=END)
    save_file({"prompt": ids[0, :PROMPT].clone(), "beams": texts[:, PROMPT:].contiguous(),
               "ids": ids[:, :-1].contiguous(), "targets": ids[:, 1:].contiguous(), "loss": loss.detach(),
               "logits": logits.detach().contiguous(), **golden}, folder / "golden.safetensors")


def masked_gpt2(neo: GPTNeoForCausalLM) -> GPT2LMHeadModel:
    """A GPT-2 with a GPT-Neo's weights, in whose local layers a query sees the last window_size positions."""
    c, T = neo.config, neo.config.max_position_embeddings
    model = GPT2LMHeadModel(GPT2Config(vocab_size=c.vocab_size, n_positions=T, n_embd=c.hidden_size, n_layer=c.num_layers,
                                       n_head=c.num_heads, attn_implementation="eager")).double().eval()
    past = torch.arange(T)[:, None] - torch.arange(T)
    band = torch.zeros(1, 1, T, T, dtype=torch.float64)
    band[:, :, (past < 0) | (past >= c.window_size)] = torch.finfo(torch.float64).min
    with torch.no_grad():
        ours, theirs = dict(model.named_parameters()), dict(neo.named_parameters())
        for name in ours.keys() & theirs.keys():
            ours[name].copy_(theirs[name].T if "mlp" in name and name.endswith("weight") else theirs[name])
        for own, other, kind in zip(model.transformer.h, neo.transformer.h, c.attention_layers, strict=True):
            attention, D = other.attn.attention, c.hidden_size // c.num_heads
            own.attn.c_attn.weight.copy_(torch.cat([attention.q_proj.weight * math.sqrt(D), attention.k_proj.weight,
                                                    attention.v_proj.weight]).T)
            own.attn.c_attn.bias.zero_()
            own.attn.c_proj.weight.copy_(attention.out_proj.weight.T)
            own.attn.c_proj.bias.copy_(attention.out_proj.bias)
            if kind == "local":
                own.attn.register_forward_pre_hook(lambda module, args, kwargs: (args, {**kwargs, "attention_mask": band}),
                                                   with_kwargs=True)
    return model


def neo_tensors(neo: GPTNeoForCausalLM, gpt2: GPT2LMHeadModel):
    """The gradients of masked_gpt2, under GPT-Neo's names."""
    same = {name: p.grad for name, p in gpt2.named_parameters() if ".attn." not in name}
    for name, gradient in same.items():
        yield name, gradient.T if "mlp" in name and name.endswith("weight") else gradient
    for i, block in enumerate(gpt2.transformer.h):
        prefix = f"transformer.h.{i}.attn.attention"
        for name, gradient in zip("qkv", block.attn.c_attn.weight.grad.T.chunk(3), strict=True):
            yield f"{prefix}.{name}_proj.weight", gradient
        yield f"{prefix}.out_proj.weight", block.attn.c_proj.weight.grad.T
        yield f"{prefix}.out_proj.bias", block.attn.c_proj.bias.grad


if __name__ == "__main__":
    for name, (model_class, config) in GOLDEN.items():
        make(Path(__file__).parent / name, model_class, config)
