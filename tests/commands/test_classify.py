"""npgpt classify with a classifier that was not fine-tuned here."""
import json

import numpy as np
import pytest

from helpers import draw
from npgpt.interop.safetensors import write_safetensors
from npgpt.text.raw_bytes import byte_vocabulary

C, LABELS = 4, ("bad", "fair", "good")


@pytest.fixture
def classifier(tmp_path):
    """A folder as transformers writes it for GPT2ForSequenceClassification. Its only block adds nothing and its positions
    are 0, so that the state of a token is the token's embedding, normalised  ->  the folder, the embeddings, the head
    """
    folder = tmp_path / "classifier"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["GPT2ForSequenceClassification"], "model_type": "gpt2", "transformers_version": "5.24.0",
        "dtype": "float32", "vocab_size": 256, "n_positions": 16, "n_embd": C, "n_layer": 1, "n_head": 2, "n_inner": None,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "pad_token_id": 0, "bos_token_id": 0,
        "eos_token_id": 0, "summary_type": "cls_index", "use_cache": True,
        "id2label": {str(i): label for i, label in enumerate(LABELS)}, "label2id": {label: i for i, label in enumerate(LABELS)}}))
    (folder / "vocab.json").write_text(json.dumps(byte_vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    embeddings, head = (array.astype(np.float32) for array in draw(0, (256, C), (len(LABELS), C)))
    zeros = {"wpe.weight": (16, C), "ln_f.bias": (C,),
             "h.0.ln_1.bias": (C,), "h.0.attn.c_attn.weight": (C, 3 * C), "h.0.attn.c_attn.bias": (3 * C,),
             "h.0.attn.c_proj.weight": (C, C), "h.0.attn.c_proj.bias": (C,),
             "h.0.ln_2.bias": (C,), "h.0.mlp.c_fc.weight": (C, 4 * C), "h.0.mlp.c_fc.bias": (4 * C,),
             "h.0.mlp.c_proj.weight": (4 * C, C), "h.0.mlp.c_proj.bias": (C,)}
    body = {"wte.weight": embeddings, **{name: np.zeros(shape, np.float32) for name, shape in zeros.items()},
            **{f"{name}.weight": np.ones(C, np.float32) for name in ("h.0.ln_1", "h.0.ln_2", "ln_f")}}
    write_safetensors(folder / "model.safetensors",
                      {"score.weight": head, **{f"transformer.{name}": array for name, array in body.items()}}, {"format": "pt"})
    return folder, embeddings, head


def test_a_classifier_that_transformers_wrote_reads_the_last_token_of_a_text(npgpt, classifier):
    """It has no special tokens, and so none for [classify]; two texts are joined."""
    folder, embeddings, head = classifier
    for asked, last in ((["--text", "a text"], "t"), (["--pair", "one", "two"], "o")):
        state = embeddings[byte_vocabulary()[last]]
        logits = head @ ((state - state.mean()) / np.sqrt(state.var() + 1e-5))
        shares = np.exp(logits) / np.exp(logits).sum()
        answer = json.loads(npgpt("classify", "--model", folder, *asked, "--json").out)
        assert answer["probabilities"] == pytest.approx(dict(zip(LABELS, shares)), rel=1e-5)
        assert answer["label"] == LABELS[shares.argmax()]


def test_a_classifier_that_transformers_wrote_is_measured_and_fine_tuned_further(npgpt, classifier, tmp_path):
    folder, *_ = classifier
    examples = [{"text": f"{word} {i}", "label": label} for i, (word, label) in enumerate(zip(["no", "so", "oh"] * 4, LABELS * 4))]
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps(example) + "\n" for example in examples))
    assert npgpt("evaluate", "--model", folder, "--data", data, "--json", "figures.json").status == 0
    assert set(json.loads((tmp_path / "figures.json").read_text())["classes"]) == set(LABELS)
    assert npgpt("finetune", "--init", folder, "--data", data, "--epochs", 1, "--threads", 1).status == 0
