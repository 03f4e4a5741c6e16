"""Makes the golden models in the folder tokens: tiny BERTs and GPTs of transformers that tag tokens or find answers.

    python tests/tasks/golden/make_tokens.py       needs torch and transformers; the tests need neither

Every parameter is random, biases and gains too, in float64. A folder holds the model as save_pretrained writes it, and
golden.safetensors: ids (B, T) with padding, segments (B, T), lengths (B,), targets, the logits, the loss, and its gradient
by every parameter, as gradient.NAME.
"""
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import (BertConfig, BertForQuestionAnswering, BertForTokenClassification, GPT2Config,
                          GPT2ForQuestionAnswering, GPT2ForTokenClassification)

PAD, LENGTHS = 2, torch.tensor([6, 4, 2])
BERT = {"vocab_size": 9, "max_position_embeddings": 7, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 7, "pad_token_id": PAD}
GPT2 = {"vocab_size": 9, "n_positions": 7, "n_embd": 6, "n_layer": 2, "n_head": 3, "n_inner": 7, "pad_token_id": PAD}
LABELS = {"id2label": {0: "B-X", 1: "I-X", 2: "O"}, "label2id": {"B-X": 0, "I-X": 1, "O": 2}}


def make(folder: Path, model: torch.nn.Module) -> None:
    torch.manual_seed(0)
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    shape = len(LENGTHS), int(LENGTHS.max())
    real = torch.arange(shape[1]) < LENGTHS[:, None]
    ids = torch.where(real, torch.randint(PAD + 1, 9, shape), PAD)
    segments = torch.where(real, torch.arange(shape[1]) // 2 % 2, 0)
    kinds = {"token_type_ids": segments} if "Bert" in type(model).__name__ else {}
    result = model(ids, attention_mask=real.long(), **kinds)
    if "Question" in type(model).__name__:
        logits = torch.stack([result.start_logits, result.end_logits], dim=1)
        targets = torch.tensor([[1, 4], [0, 3], [1, 1]])
        loss = cross_entropy(logits.masked_fill(~real[:, None], -torch.inf).flatten(0, 1), targets.flatten())
        own = model(ids[:1], start_positions=targets[:1, 0], end_positions=targets[:1, 1],
                    **{name: kind[:1] for name, kind in kinds.items()}).loss
        assert abs(own - cross_entropy(logits[0], targets[0])) < 1e-5          # transformers counts padding; here is none
    else:
        logits = result.logits
        targets = torch.where(real & (torch.rand(shape) < 0.6), torch.randint(3, shape), -100)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        own = model(ids, attention_mask=real.long(), labels=targets, **kinds).loss
        assert abs(own - loss) < 1e-5
    loss.backward()
    gradients = {f"gradient.{name}": parameter.grad for name, parameter in model.named_parameters()}
    save_file({"ids": ids, "segments": segments, "lengths": LENGTHS, "targets": targets, "loss": loss.detach(),
               "logits": logits.detach().contiguous(), **gradients}, folder / "golden.safetensors")


if __name__ == "__main__":
    here = Path(__file__).parent / "tokens"
    make(here / "bert_tagging", BertForTokenClassification(BertConfig(**BERT, **LABELS)))
    make(here / "bert_span", BertForQuestionAnswering(BertConfig(**BERT)))
    make(here / "gpt2_tagging", GPT2ForTokenClassification(GPT2Config(**GPT2, **LABELS)))
    make(here / "gpt2_span", GPT2ForQuestionAnswering(GPT2Config(**GPT2)))
