"""Makes the golden models beside it: tiny encoder-decoders of transformers, and what PyTorch computes with them.

    python tests/interop/marian/make.py            needs torch and transformers; the tests need neither

Every parameter is random, biases and gains too, in float64. A folder holds the model as save_pretrained writes it, and
golden.safetensors: source (padded), ids, targets, logits, loss (with label smoothing), and its gradient by every parameter,
as gradient.NAME; greedy and beams, what generate finds for the first source.

transformers rounds sinusoidal positions to float32; here they are float64. Its tables give the pad token's row no gradient
as an embedding; here they do.
"""
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import MarianConfig, MarianMTModel

PAD, END, BEAMS, LONGEST = 8, 7, 3, 10
SIZES = {"vocab_size": 9, "d_model": 6, "max_position_embeddings": 12, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 7, "decoder_ffn_dim": 7, "pad_token_id": PAD, "eos_token_id": END,
         "decoder_start_token_id": PAD, "forced_eos_token_id": None, "scale_embedding": True}
GOLDEN = {"relu": {"encoder_layers": 2, "decoder_layers": 2, "activation_function": "relu"},
          "swish": {"encoder_layers": 1, "decoder_layers": 2, "activation_function": "swish"}}
SOURCE = [[1, 4, 4, 0, 2, END], [3, 0, END, PAD, PAD, PAD], [5, 6, 1, 2, END, PAD]]
TARGETS = [[2, 2, 6, END, -100], [0, END, -100, -100, -100], [1, 3, 5, 4, END]]


def positions(length: int, channels: int) -> torch.Tensor:
    even = torch.arange(0, channels, 2, dtype=torch.float64)
    angle = torch.arange(length, dtype=torch.float64)[:, None] / 10000 ** (even / channels)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def make(folder: Path, fields: dict) -> None:
    torch.manual_seed(0)
    model = MarianMTModel(MarianConfig(**SIZES, **fields)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
        for stack in (model.model.encoder, model.model.decoder):
            stack.embed_positions.weight.data = positions(SIZES["max_position_embeddings"], SIZES["d_model"])
            stack.embed_tokens.padding_idx = None
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()

    source, targets = torch.tensor(SOURCE), torch.tensor(TARGETS)
    ids = torch.cat([torch.full((len(targets), 1), PAD), targets[:, :-1]], dim=1)
    ids[ids == -100] = PAD
    logits = model(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=ids).logits
    loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1)
    loss.backward()
    gradients = {f"gradient.{name}": parameter.grad for name, parameter in model.named_parameters()
                 if parameter.grad is not None}
    settings = {"attention_mask": torch.ones(1, source.shape[1]), "do_sample": False, "max_new_tokens": LONGEST}
    with torch.no_grad():
        greedy = model.generate(source[:1], **settings)
        beams = model.generate(source[:1], num_beams=BEAMS, num_return_sequences=BEAMS, **settings)
    save_file({"source": source, "ids": ids, "targets": targets, "loss": loss.detach(), "logits": logits.detach().contiguous(),
               "greedy": greedy[0, 1:].contiguous(), "beams": beams[:, 1:].contiguous(), **gradients},
              folder / "golden.safetensors")


if __name__ == "__main__":
    for name, fields in GOLDEN.items():
        make(Path(__file__).parent / name, fields)
