"""npgpt gradcheck"""
import pytest

from npgpt.checking.catalogue import CASES
from npgpt.layers.linear import linear_backward


def test_named_layers_are_checked_and_found_right(npgpt):
    status, out, err = npgpt("gradcheck", "linear", "softmax", "--method", "complex")
    assert status == 0 and err == ""
    assert "5 gradients, 489 entries, all right" in out
    cases = [line.split("  ")[0] for line in out.splitlines() if line.endswith("ok") and not line.startswith(" ")]
    assert cases == ["linear", "softmax", "softmax, masked"]


def test_both_methods_are_used_unless_one_is_chosen(npgpt):
    assert "by complex step (allowed 1e-12) and " in npgpt("gradcheck", "linear").out
    only = npgpt("gradcheck", "linear", "--method", "central").out
    assert "by central differences" in only and "by complex step" not in only


def test_a_wrong_gradient_is_shown_and_the_exit_status_is_1(npgpt, monkeypatch):
    def wrong(dy, cache):
        dx, dw, db = linear_backward(dy, cache)
        return dx, 1.001 * dw, db
    linear, = (case for case in CASES if case.layer == "linear")
    monkeypatch.setattr("npgpt.commands.gradcheck.CASES", [linear._replace(backward=wrong)])
    status, out, _ = npgpt("gradcheck", "linear", "--method", "complex")
    assert status == 1 and "3 gradients" in out and "1 WRONG" in out


@pytest.mark.parametrize("arguments, complaint", [
    (["lstm"], "no layer is called 'lstm'; there are linear, "),
    (["linear", "--seed", "-1"], "--seed must be 0 or more, not -1"),
    (["--method", "guess"], "argument --method: invalid choice: 'guess'")])
def test_an_argument_that_makes_no_sense_is_refused(refused, arguments, complaint):
    assert complaint in refused("gradcheck", *arguments)
