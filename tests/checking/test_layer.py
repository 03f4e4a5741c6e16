"""The checker passes correct layers, and says what is wrong with the others."""
import math
from functools import partial

import numpy as np
import pytest

from npgpt.checking.contract import contract_breaches
from npgpt.checking.layer import check_layer
from npgpt.checking.report import GradientError


def scale(x, w):
    return x * w, (x, w)


def scale_backward(dy, cache):
    x, w = cache
    return dy * w, (dy * x).sum(axis=0)


BOTH = np.float32, np.float64
X, W = np.random.default_rng(0).standard_normal((4, 3)), np.array([2.0, 3.0, 5.0])


def test_a_correct_layer_passes():
    report = check_layer(scale, scale_backward, X, W).require()
    assert report.right and report.worst("complex") < 1e-15 and 0 < report.worst("central") < 1e-9


def message_of(backward, forward=scale, *arguments, **settings):
    with pytest.raises(GradientError) as error:
        check_layer(forward, backward, *(arguments or (X, W)), **settings).require()
    return str(error.value)


def test_an_error_names_layer_argument_shape_index_values_and_count():
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        dx[2, 1] += 0.5 * dy[2, 1]
        return dx, dw
    message = message_of(backward)
    assert "scale: the gradient of x (4, 3) is wrong: at (2, 1) it is" in message and "1 of 12 entries off" in message
    assert "by hand" in message and "by complex step" in message and "relative error" in message


def test_an_argument_may_be_a_group_of_arrays():
    """Its gradient is then such a group, and each array in it is checked and named."""
    def forward(x, p):
        return x * p[0] + p[1][0], (x, p)

    def backward(dy, cache, factor=1.0):
        x, p = cache
        return dy * p[0], [(dy * x).sum(axis=0), (factor * dy.sum(axis=0),)]
    report = check_layer(forward, backward, X, [W, (W - 1,)]).require()
    assert [comparison.argument for comparison in report.comparisons] == ["x", "p.0", "p.1.0"]
    message = message_of(lambda dy, cache: backward(dy, cache, 0.5), forward, X, [W, (W - 1,)])
    assert "the gradient of p.1.0 (3,) is wrong" in message and message.count("is wrong") == 1


def test_a_missing_factor_is_recognised():
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        return dx / 2, dw
    assert "numeric / analytic is 2 everywhere" in message_of(backward)


def test_a_transpose_is_recognised():
    def square(x):
        return x @ np.arange(9.0).reshape(3, 3), None
    assert "matches after a transpose" in message_of(lambda dy, cache: np.ascontiguousarray((dy @ np.arange(9.0).reshape(3, 3).T).T),
                                                square, X[:3])


def test_a_reshape_instead_of_a_transpose_is_recognised():
    def turned(dy, cache):
        dx, dw = scale_backward(dy, cache)
        return dx.T.reshape(dx.shape).copy(), dw
    assert "reshaped where axes should have been swapped" in message_of(turned)


def test_a_gradient_that_is_zero_everywhere_fails_even_where_the_numerical_one_is_zero():
    def constant(x):
        return x - x, None
    assert "identically zero" in message_of(lambda dy, cache: dy * 0, constant, X)
    check_layer(constant, lambda dy, cache: dy * 0, X, zero=("x",)).require()


def test_a_gradient_proven_zero_must_be_zero():
    assert "the gradient of w" in message_of(lambda dy, cache: (scale_backward(dy, cache)[0], dy.sum(axis=0)),
                                        lambda x, w: (x + 0 * w, (x, np.ones(3))), zero=("w",))


def test_nan_is_wrong():
    assert "the gradient of x" in message_of(lambda dy, cache: (dy * np.nan, scale_backward(dy, cache)[1]))


def test_a_single_nan_is_wrong_and_named():
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        dx[2, 1] = np.nan
        return dx, dw
    assert "at (2, 1) it is nan by hand" in message_of(backward) and "1 of 12 entries off" in message_of(backward)


def test_a_gradient_said_to_be_zero_is_compared_even_if_all_gradients_are_zero():
    assert "the gradient of x" in message_of(lambda dy, cache: dy * 0, lambda x: (2 * x, None), X, zero=("x",))


def test_empty_arrays_have_right_gradients():
    assert check_layer(scale, scale_backward, X[:, :0], W[:0]).right


def test_a_changed_argument_is_reported():
    def forward(x, w):
        y = x * w
        w *= 2
        return y, (x, w / 2)
    assert "changes an argument" in message_of(scale_backward, forward)


def test_changed_ids_are_reported():
    def forward(x, ids):
        y, kept = x[ids], ids.copy()
        ids[...] = 0
        return y, (x, kept)

    def backward(dy, cache):
        dx = np.zeros_like(cache[0])
        np.add.at(dx, cache[1], dy)
        return dx
    assert "changes an argument" in message_of(backward, forward, X, np.array([1, 0, 1]))


def test_a_changed_dy_is_reported():
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        dy *= 2
        return dx, dw
    assert "backward changes dy" in message_of(backward)
    assert check_layer(scale, backward, X, W).problems().count("backward changes dy") == 1         # not once for each dtype


def test_a_changed_cache_is_reported():
    def backward(dy, cache):
        gradients = scale_backward(dy, cache)
        cache[0][...] = 0
        return gradients
    assert "changes its cache" in message_of(backward, lambda x, w: (x * w, (x.copy(), w)))


def test_shared_memory_is_reported():
    assert "shares memory" in message_of(lambda dy, cache: dy, lambda x: (x + 1, None), X)
    assert "shares memory" in message_of(lambda dy, cache: dy * 1, lambda x: (x, None), X)


def test_a_wider_dtype_is_reported():
    assert "float32 comes in, float64" in message_of(lambda dy, cache: dy * np.float64(2),
                                                     lambda x: (x * np.float64(2), None), X)


def test_a_wider_dtype_of_a_gradient_is_reported():
    message = message_of(lambda dy, cache: np.float64(2) * dy, lambda x: (2 * x, None), X)
    assert "float32 comes in, float32, float64 comes out" in message


def test_a_gradient_of_another_shape_is_reported():
    assert "backward gives shapes" in message_of(lambda dy, cache: (dy, dy))


def test_a_backward_that_is_not_linear_in_dy_is_reported():
    assert "not linear" in message_of(lambda dy, cache: dy * dy, lambda x: (x * x, None), X)


def test_a_generator_starts_every_call_in_the_same_state():
    def noisy(x, rng):
        dropped = rng.random(x.shape) < 0.5
        return np.where(dropped, 0, x), dropped
    check_layer(noisy, lambda dy, dropped: np.where(dropped, 0, dy), X, np.random.default_rng(0)).require()


def off_by(factor):
    """A backward whose gradient of x is wrong by this factor."""
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        return dx * dx.dtype.type(factor), dw
    return backward


@pytest.mark.parametrize("methods, accepted, refused", [
    (["complex"], 3e-13, 3e-12), (["central"], 3e-8, 3e-7), (["complex", "central"], 3e-13, 3e-12)])
def test_relative_errors_up_to_1e_12_or_1e_7_are_allowed(methods, accepted, refused):
    assert check_layer(scale, off_by(1 + accepted), X, W, methods=methods).right
    assert not check_layer(scale, off_by(1 + refused), X, W, methods=methods).right


def test_the_upstream_gradient_is_drawn_from_the_seed():
    """It is not all ones."""
    one, other = (check_layer(scale, scale_backward, X, W, seed=seed).comparisons[0].analytic / W for seed in (1, 2))
    assert one.std() > 0.1 and not np.allclose(one, other)


def test_every_method_must_agree():
    """Central differences do not see an error of 1e-9; the complex step does."""
    report = check_layer(scale, off_by(1 + 1e-9), X, W)
    x, w = report.comparisons
    assert x.error("central") < 1e-7 and x.verdict == "WRONG" and w.verdict == "ok" and not report.right


def test_the_largest_error_counts_not_the_mean():
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        dx[30, 1] += 1e-11 * np.abs(dx).max()
        return dx, dw
    assert "at (30, 1)" in message_of(backward, scale, np.tile(X, (20, 1)), W, methods=["complex"])


def test_an_error_is_relative_to_the_gradient_of_the_same_argument():
    """The gradient of w is a million times larger here than that of x."""
    x, w = check_layer(scale, off_by(1 + 1e-9), 1e6 * X, W, methods=["complex"]).comparisons
    assert x.verdict == "WRONG" and w.verdict == "ok"


def test_the_tolerance_may_be_chosen():
    assert check_layer(scale, off_by(1.0001), X, W, tolerance=1e-3).right
    assert not check_layer(scale, off_by(1.0001), X, W, tolerance=1e-5).right
    assert not check_layer(scale, scale_backward, X, W, tolerance=1e-14).right       # central differences err by more


def absolute(x, w):
    return np.abs(x) * w, (x, w)


def absolute_backward(dy, cache, factor=1.0):
    x, w = cache
    return dy * w * np.sign(x) * factor, (dy * np.abs(x)).sum(axis=0)


def length(x, w):
    n = np.linalg.norm(x, axis=-1, keepdims=True)
    return n * w, (x, n, w)


def length_backward(dy, cache, factor=1.0):
    x, n, w = cache
    return x / n * (dy * w).sum(axis=-1, keepdims=True) * factor, (dy * n).sum(axis=0)


def normal_cdf(x, w):
    erf = [math.erf(value) for value in x.ravel() / math.sqrt(2)]
    return (0.5 * (1 + np.array(erf).reshape(x.shape)) * w).astype(x.dtype), (x, w)


def normal_cdf_backward(dy, cache, factor=1.0):
    x, w = cache
    dx = dy * w * np.exp(-x * x / 2) / x.dtype.type(math.sqrt(2 * math.pi)) * factor
    return dx, (dy * normal_cdf(x, np.ones_like(w))[0]).sum(axis=0)


def in_real_numbers_only(x, w):
    if np.iscomplexobj(x) or np.iscomplexobj(w):
        raise TypeError("must be real number, not complex")
    return scale(x, w)


def without_imaginary_part(x, w):
    return scale(x.astype(x.real.dtype), w)


@pytest.mark.parametrize("forward, backward, word", [
    (absolute, absolute_backward, "not analytic"), (length, length_backward, "not analytic"),
    (normal_cdf, normal_cdf_backward, "real only"), (without_imaginary_part, None, "real only"),
    (in_real_numbers_only, None, "real only")])
def test_a_forward_that_is_not_analytic_is_judged_by_central_differences(forward, backward, word):
    report = check_layer(forward, backward or scale_backward, X, W).require()
    x = report.comparisons[0]
    assert x.verdict == f"ok ({word})" and list(x.numeric) == ["central"] and x.error("central") < 1e-9
    assert "checked by central differences (allowed 1e-07)" in str(report)

    wrong = (lambda dy, cache: backward(dy, cache, 1.00001)) if backward else off_by(1.00001)
    x = check_layer(forward, wrong, X, W).comparisons[0]
    assert x.verdict == f"WRONG ({word})" and "by central differences" in x.explain()


def test_a_forward_that_is_not_analytic_in_a_small_term_is_recognised_as_well():
    def forward(x):
        return 2 * x + 1e-4 * np.abs(x), x

    def backward(dy, x):
        return dy * (2 + x.dtype.type(1e-4) * np.sign(x))
    assert check_layer(forward, backward, X).require().comparisons[0].verdict == "ok (not analytic)"


def test_arguments_in_which_forward_is_analytic_are_judged_by_the_complex_step_as_well():
    def backward(dy, cache):
        dx, dw = absolute_backward(dy, cache)
        return dx, dw * (1 + 1e-11)
    x, w = check_layer(absolute, backward, X, W).comparisons
    assert x.verdict == "ok (not analytic)" and w.verdict == "WRONG"


@pytest.mark.parametrize("factor", [1 + 1e-9, 1.001, 2, -1, 1e6, np.nan])
def test_a_wrong_backward_is_not_taken_for_a_forward_that_is_not_analytic(factor):
    x = check_layer(scale, off_by(factor), X, W).comparisons[0]
    assert x.verdict == "WRONG" and list(x.numeric) == ["complex", "central"]


@pytest.mark.parametrize("methods", [None, ["central"], ["complex", "central"]])
def test_rounding_is_not_taken_for_an_error(methods):
    """Central differences of large values with small derivatives have few correct digits; the complex step has all."""
    def small(dy, cache, factor=1.0):
        return dy * np.array(1e-6 * factor, dy.dtype)

    x, = check_layer(lambda x: (x * 1e-6 + 1, None), small, X, methods=methods).require().comparisons
    assert x.error("central") > 1e-7 and x.verdict == "ok"
    wrong = check_layer(lambda x: (x * 1e-6 + 1, None), partial(small, factor=1.001), X, methods=methods, name="small")
    assert wrong.comparisons[0].verdict == "WRONG"


def test_methods_that_are_chosen_must_agree_even_if_forward_is_not_analytic():
    assert not check_layer(absolute, absolute_backward, X, W, methods=["complex", "central"]).right
    assert check_layer(absolute, absolute_backward, X, W, methods=["central"]).right
    with pytest.raises(TypeError):
        check_layer(in_real_numbers_only, scale_backward, X, W, methods=["complex"])


def kernel(x, w):
    """tanh(x) w in float32, whatever comes in, as a C function would compute it."""
    x, w = np.float32(x), np.float32(w)
    return np.tanh(x) * w, (x, w)


def strict_kernel(x, w):
    if x.dtype != np.float32:
        raise ValueError("Buffer dtype mismatch, expected 'float' but got 'double'")
    return kernel(x, w)


def kernel_backward(dy, cache, factor=1.0):
    x, w = cache
    y = np.tanh(x)
    return dy * w * (1 - y * y) * np.float32(factor), (dy * y).sum(axis=0)


@pytest.mark.parametrize("forward", [kernel, strict_kernel])
@pytest.mark.parametrize("methods", [None, ["central"]])
def test_a_forward_that_computes_in_float32_only_is_judged_by_its_precision(forward, methods):
    report = check_layer(forward, kernel_backward, X, W, methods=methods).require()
    assert [c.verdict for c in report.comparisons] == ["ok (float32)"] * 2 and 1e-8 < report.worst("central") < 1e-4
    assert "in float32 only; checked by central differences (allowed 2e-03)" in str(report)
    for factor, right in [(1.0005, True), (1.005, False)]:
        report = check_layer(forward, lambda dy, cache: kernel_backward(dy, cache, factor), X, W, methods=methods)
        assert report.right == right
    assert check_layer(forward, lambda dy, cache: kernel_backward(dy, cache, 1.005), X, W, tolerance=1e-2).right
    assert "WRONG (float32)" in str(report) and "numeric / analytic is 0.995 everywhere" in str(report)


def test_float32_is_not_enough_where_the_complex_step_is_chosen():
    with pytest.warns(np.exceptions.ComplexWarning):
        report = check_layer(kernel, kernel_backward, X, W, methods=["central", "complex"])
    assert "float64 comes in, float32" in report.problems()


def test_a_forward_that_fails_in_every_precision_raises_its_own_error():
    with pytest.raises(ValueError, match="could not be broadcast"):
        check_layer(scale, scale_backward, X, W[:2])


@pytest.mark.parametrize("backward", [
    lambda dy, cache: [dy.copy()] * 2,                      # both gradients are one array
    lambda dy, cache: [cache, dy.copy()]])                  # a gradient is the output
def test_memory_shared_between_two_outputs_is_reported(backward):
    def add(x, y):
        total = x + y
        return total, total
    assert "shares memory with an argument or with another output" in check_layer(add, backward, X, 2 * X).problems()
    assert check_layer(add, lambda dy, cache: (dy.copy(), dy.copy()), X, 2 * X).right


@pytest.mark.parametrize("size, reported", [(1e-10, True), (1e-16, False)])
def test_linearity_is_checked_in_every_entry_to_the_precision_of_float64(size, reported):
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        dx[30, 1] += size * np.abs(dx).max()
        return dx, dw
    breaches = contract_breaches("scale", scale, backward, [np.tile(X, (20, 1)), W], {}, np.random.default_rng(0), BOTH)
    assert breaches == ["scale: backward is not linear in dy"] * reported


def test_rounding_of_long_sums_is_linear_enough():
    x = np.random.default_rng(0).standard_normal((100_000, 3))
    assert contract_breaches("scale", scale, scale_backward, [x, W], {}, np.random.default_rng(1), BOTH) == []


def test_what_is_printed_or_shown_by_a_notebook_is_the_table_and_what_is_wrong():
    report = check_layer(scale, off_by(1 / 6), X, W)
    table, diagnosis = str(report).splitlines()[:3], str(report).splitlines()[3:]
    assert table[1].endswith("WRONG") and table[2].endswith("ok")
    assert diagnosis == report.problems().splitlines() and "numeric / analytic is 6 everywhere" in diagnosis[0]
    assert repr(report) == str(report)


def test_a_report_prints_as_a_table():
    lines = str(check_layer(scale, scale_backward, X, W)).splitlines()
    assert len(lines) == 3 and lines[1].split()[:2] == ["scale", "x"] and lines[2].endswith("ok")
    assert max(map(len, lines)) <= 100
