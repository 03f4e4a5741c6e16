"""npgpt trace"""
import os

import numpy as np

from npgpt.interop.tensors import tensors_as_in_file
from npgpt.interop.huggingface import load_model
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE


def table(outcome):
    """What was printed: the first two lines, the lines of intermediates, the lines of parameters"""
    assert outcome.status == 0
    head, intermediates, gradients = outcome.out.rstrip("\n").split("\n\n")
    return head, intermediates.splitlines()[2:], gradients.splitlines()[1:]


def test_without_arguments_a_tiny_gpt_is_traced_on_a_screen_or_two(npgpt):
    outcome = npgpt("trace")
    head, intermediates, gradients = table(outcome)
    assert head.startswith("B 2 sequences, T 5 tokens, C 12 channels, H 3 heads of D 4, L 2 layers, vocabulary size 11;")
    assert outcome.err == "" and len(outcome.out.splitlines()) < 100
    assert [line.split()[1] for line in intermediates if line.split()[0] in ("x", "attn.q", "mlp.h", "logits")] == [
        "2x5x12", "2x3x5x4", "2x5x48", "2x3x5x4", "2x5x48", "2x5x11"]
    assert intermediates[0].endswith("layers/embedding.py embedding") and len(gradients) == 28 + 1


def test_shares_of_the_norm_add_up(npgpt):
    _, _, gradients = table(npgpt("trace"))
    shares = [float(line.partition("%")[0].split()[-1]) for line in gradients]
    assert abs(sum(shares[:-1]) - 100) < 0.2 and shares[-1] == 100


def test_the_same_seed_gives_the_same_trace(npgpt):
    assert npgpt("trace").out == npgpt("trace", "--seed", 0).out != npgpt("trace", "--seed", 1).out


def test_full_prints_the_arrays(npgpt):
    shown = npgpt("trace", "--full").out
    for name in ("blocks.1.attn.attention.0.weights", "gradient of blocks.0.m", "logits", "wte",
                 "gradient of blocks.0.ln_1.bias"):
        assert f"    {name} =\n" in shown
    assert "..." not in shown


def test_the_loss_is_that_of_predicting_each_token_of_the_text_from_those_before(npgpt, model, tmp_path):
    assert npgpt("trace", "--model", model, "--text", "lazy dog", "--save", "a.npz").err == ""
    parameters, config = load_model(model)
    ids = load_tokenizer(model).encode("lazy dog")[None]
    batch = TokenBatch(ids[:, :-1], ids[:, 1:])
    loss, gradients = LanguageModelling(config).loss_and_gradients(batch, parameters)
    with np.load(tmp_path / "a.npz") as saved:
        assert saved["loss"] == loss
        assert np.array_equal(saved["ids"], batch.ids) and np.array_equal(saved["targets"], batch.targets)
        for prefix, vector in (("parameter/", parameters), ("grad/", gradients)):
            for name, tensor in tensors_as_in_file(vector, config).items():
                assert np.array_equal(saved[prefix + name], tensor)
        assert {"parameter/transformer.wte.weight", "grad/transformer.ln_f.bias", "grad/logits"} <= set(saved.files)


def test_arrays_are_written_through_a_symbolic_link_and_never_over_a_pipe(npgpt, refused, tmp_path):
    (tmp_path / "a.npz").write_text("old")
    (tmp_path / "link").symlink_to("a.npz")
    assert npgpt("trace", "--save", "link").status == 0
    with np.load(tmp_path / "a.npz") as saved:
        assert (tmp_path / "link").is_symlink() and saved["loss"] > 0
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is not a file" in refused("trace", "--save", "pipe")


def test_the_dtype_is_the_models_own_or_the_one_asked_for(npgpt, model):
    assert "in float64" in npgpt("trace", "--model", model, "--text", "the").out
    assert "in float32" in npgpt("trace", "--model", model, "--text", "the", "--dtype", "float32").out
    assert "in float32" in npgpt("trace").out and "in float64" in npgpt("trace", "--dtype", "float64").out


def test_a_text_without_a_model_is_given_to_the_model_in_out(npgpt, model):
    model.rename("out")
    assert "vocabulary size 28" in npgpt("trace", "--text", "fox").out and "vocabulary size 11" in npgpt("trace").out


def test_a_model_without_a_text_is_given_a_default_one(npgpt, model):
    assert "T 8 tokens" in npgpt("trace", "--model", model).out


def test_only_the_first_tokens_of_a_long_text_are_traced(npgpt, model):
    outcome = npgpt("trace", "--model", model, "--text", "the quick brown fox")
    assert "T 8 tokens" in outcome.out
    assert "19 tokens" in outcome.err and "the first 9 " in outcome.err and outcome.err.count("\n") == 1


def test_ids_can_be_given_where_there_is_no_tokenizer(npgpt, refused, model):
    (model / TOKENIZER_FILE).unlink()
    assert "T 3 tokens" in npgpt("trace", "--model", model, "--ids", 3, 1, 4, 1).out
    complaint = refused("trace", "--model", model)
    assert f"{model} holds no tokenizer" in complaint and "--ids" in complaint
    assert "token id 28, but the model's vocabulary is 0 to 27" in refused("trace", "--model", model, "--ids", 1, 28)
    assert "0 or more, found -1" in refused("trace", "--model", model, "--ids", 1, -1)


def test_mistakes_are_explained(refused, model):
    assert "the text has 1 token, 2 or more are needed" in refused("trace", "--model", model, "--text", "t")
    assert "the text has 0 tokens" in refused("trace", "--model", model, "--text", "")
    assert "the character 'X'" in refused("trace", "--model", model, "--text", "foX")
    assert "there is no model in out yet: npgpt train" in refused("trace", "--text", "fox")
    assert "nowhere/a.npz: No such file or directory" in refused("trace", "--save", "nowhere/a.npz")
    assert "--seed must be 0 or more" in refused("trace", "--seed", -1)
    assert "not allowed with argument" in refused("trace", "--text", "fox", "--ids", 1, 2)
