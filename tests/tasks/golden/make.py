"""Makes the golden models beside it: tiny GPTs of transformers with heads, and how PyTorch fine-tunes them.

    python tests/tasks/golden/make.py            needs torch and transformers; the tests need neither

Every parameter is random, biases and gains too, in float64. A folder holds the model as save_pretrained writes it, and
golden.safetensors: ids (B, S, T), ends (B, S) of the sequences, targets (B,), the logits and the loss; the gradient of the loss
by every parameter, as gradient.NAME; and every parameter after UPDATES updates on this batch, as updated.NAME.
"""
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2ForSequenceClassification, OpenAIGPTConfig, OpenAIGPTDoubleHeadsModel

SIZES = {"vocab_size": 9, "n_positions": 7, "n_embd": 6, "n_layer": 2, "n_head": 3}
PAD, UPDATES, LM_WEIGHT = 8, 20, 0.5
ADAMW = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-4}     # with 1e-8, rounding errors of gradients near 0 become large
DECAY = 0.01


def classification_loss(model, ids, ends, targets):
    logits = model(ids[:, 0], attention_mask=(ids[:, 0] != PAD).long()).logits
    return cross_entropy(logits, targets), logits


def double_heads_loss(model, ids, ends, targets):
    """The loss of choices, plus LM_WEIGHT times that of the language model: the mean over the tokens of each sequence, then
    over the sequences.
    """
    result = model(ids, mc_token_ids=ends)
    log_probabilities = result.logits.log_softmax(-1)
    losses = []
    for b in range(len(ids)):
        for s in range(ids.shape[1]):
            end = ends[b, s]
            losses.append(-log_probabilities[b, s, :end].gather(-1, ids[b, s, 1:end + 1, None]).mean())
    return cross_entropy(result.mc_logits, targets) + LM_WEIGHT * torch.stack(losses).mean(), result.mc_logits


def make(folder: Path, model, loss_of, ids, ends, targets) -> None:
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    loss, logits = loss_of(model, ids, ends, targets)
    loss.backward()
    golden = {f"gradient.{name}": parameter.grad.clone() for name, parameter in model.named_parameters()}
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}], **ADAMW)
    for _ in range(UPDATES):
        optimiser.zero_grad()
        loss_of(model, ids, ends, targets)[0].backward()
        optimiser.step()
    golden |= {f"updated.{name}": parameter.detach().clone() for name, parameter in model.named_parameters()}
    save_file({"ids": ids, "ends": ends, "targets": targets, "loss": loss.detach(), "logits": logits.detach(), **golden},
              folder / "golden.safetensors")


def sequences(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids, filled up with PAD, and the last position of each sequence."""
    ids = torch.full((len(lengths), max(lengths)), PAD)
    for row, length in zip(ids, lengths):
        row[:length] = torch.randint(PAD, (length,))
    return ids, torch.tensor(lengths) - 1


if __name__ == "__main__":
    torch.manual_seed(0)
    here = Path(__file__).parent
    ids, ends = sequences(5, 7, 2)
    make(here / "classification", GPT2ForSequenceClassification(GPT2Config(
        **SIZES, pad_token_id=PAD, id2label={0: "no", 1: "perhaps", 2: "yes"}, label2id={"no": 0, "perhaps": 1, "yes": 2})),
        classification_loss, ids[:, None], ends[:, None], torch.tensor([2, 0, 1]))
    ids, ends = sequences(5, 7, 3, 6)
    make(here / "double_heads", OpenAIGPTDoubleHeadsModel(OpenAIGPTConfig(**SIZES)), double_heads_loss,
         ids.view(2, 2, -1), ends.view(2, 2), torch.tensor([1, 0]))
