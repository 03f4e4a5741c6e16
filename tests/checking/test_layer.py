"""The checker passes correct layers, and says what is wrong with the others."""
import numpy as np
import pytest

from npgpt.checking.layer import check_layer
from npgpt.checking.report import GradientError


def scale(x, w):
    return x * w, (x, w)


def scale_backward(dy, cache):
    x, w = cache
    return dy * w, (dy * x).sum(axis=0)


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


def test_a_changed_argument_is_reported():
    def forward(x, w):
        y = x * w
        w *= 2
        return y, (x, w / 2)
    assert "changes an argument" in message_of(scale_backward, forward)


def test_a_changed_dy_is_reported():
    def backward(dy, cache):
        dx, dw = scale_backward(dy, cache)
        dy *= 2
        return dx, dw
    assert "backward changes dy" in message_of(backward)


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
    assert "float32 comes in, float64" in message_of(lambda dy, cache: dy * np.float64(2), lambda x: (x * np.float64(2), None), X)


def test_a_gradient_of_another_shape_is_reported():
    assert "backward gives shapes" in message_of(lambda dy, cache: (dy, dy))


def test_a_backward_that_is_not_linear_in_dy_is_reported():
    assert "not linear" in message_of(lambda dy, cache: dy * dy, lambda x: (x * x, None), X)


def test_a_generator_starts_every_call_in_the_same_state():
    def noisy(x, rng):
        dropped = rng.random(x.shape) < 0.5
        return np.where(dropped, 0, x), dropped
    check_layer(noisy, lambda dy, dropped: np.where(dropped, 0, dy), X, np.random.default_rng(0)).require()


def test_a_report_prints_as_a_table():
    lines = str(check_layer(scale, scale_backward, X, W)).splitlines()
    assert len(lines) == 3 and lines[1].split()[:2] == ["scale", "x"] and lines[2].endswith("ok")
    assert max(map(len, lines)) <= 100
