"""Exercises: the layers that call no other layer, from the easiest to the hardest."""
from npgpt.exercises.exercise import Exercise, Mistake
from npgpt.layers.activations import (
    gelu, gelu_backward, gelu_exact, gelu_exact_backward, relu, relu_backward, silu, silu_backward, tanh, tanh_backward)
from npgpt.layers.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_backward
from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, unembedding, unembedding_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.mean_squared_error import mean_squared_error, mean_squared_error_backward
from npgpt.layers.softmax import softmax, softmax_backward

ACTIVATION = "Every entry of y depends on the same entry of x alone. Return its derivative there, times dy."

ELEMENTARY = [
    Exercise(
        linear, linear_backward,
        "Every row of x is multiplied by the same w, and the same b is added.\n"
        "Return the gradients of all three; x may have any number of leading axes, and b is never None here.",
        ("Write one entry of the result: y_ro = sum_i x_ri w_io + b_o. In which entries of y is x_ri, in which w_io?",
         "x_ri occurs in row r of y only, w_io and b_o in every row: their gradients are sums over the rows.",
         "Flatten the leading axes of x and dy, so that both are matrices. Each sum over i, o or r is then a matrix "
         "product, and the shapes tell which of the two is transposed; give dx the shape of x at the end."),
        (Mistake("dy.sum(axis=0, out=db)", "dy.mean(axis=0, out=db)",
                 "it is a mean over the rows, and must be their sum: b is added to every row."),
         Mistake("np.matmul(rows.T, dy, out=dw)", "np.matmul(rows.T, dy, out=dw) / len(rows)",
                 "it is a mean over the rows, and must be their sum: w is used in every row."),
         Mistake("np.matmul(rows.T, dy, out=dw)", "(dy.T @ rows).reshape(w.shape)",
                 "it is transposed, and reshaped to fit: axes are exchanged by .T, not by reshape."),
         Mistake("dx = dy @ w.T", "dx = dy @ w.reshape(w.shape[::-1])",
                 "w was reshaped where it must be transposed, w.T."))),
    Exercise(
        relu, relu_backward, ACTIVATION,
        ("What is the slope of max(x, 0) where x is positive, and where it is negative?",
         "It is 1 or 0. Look at what forward puts into the cache."),
        (Mistake("dy * positive", "dy * ~positive", "it is 0 where x was positive, and must be 0 where x was negative."),
         Mistake("dy * positive", "dy.copy()", "it is 0 where x was negative, because y does not depend on x there."),
         Mistake("dy * positive", "positive.astype(dy.dtype)",
                 "this is the derivative; by the chain rule it must be multiplied by dy."))),
    Exercise(
        tanh, tanh_backward, ACTIVATION,
        ("tanh = sinh / cosh. The quotient rule gives its derivative.",
         "The derivative is (cosh^2 - sinh^2) / cosh^2. Express it by tanh alone: the cache has nothing else."),
        (Mistake("slope = y * y", "slope = y.copy()", "the derivative is 1 - tanh^2, not 1 - tanh."),
         Mistake("slope *= dy", "slope *= 1", "this is the derivative; by the chain rule it must be multiplied by dy."))),
    Exercise(
        silu, silu_backward, ACTIVATION,
        ("y = x sigmoid(x) is a product of two functions of x: use the product rule.",
         "The derivative of the sigmoid s is s (1 - s)."),
        (Mistake("slope += 1", "slope += 0",
                 "the product rule gives two terms; the one in which x itself is differentiated, sigmoid(x), is missing."),
         Mistake("slope *= x", "slope *= 0",
                 "the product rule gives two terms; the one in which the sigmoid is differentiated is missing."))),
    Exercise(
        gelu, gelu_backward, ACTIVATION,
        ("y = x sigmoid(u), where u is a polynomial in x: use the product rule, then the chain rule for the sigmoid.",
         "The derivative of the sigmoid s is s (1 - s), so y' = s + x s (1 - s) u'.",
         "u = SLOPE (x + CUBIC x^3). What is its derivative?"),
        (Mistake("slope += sigmoid", "slope += 0",
                 "the product rule gives two terms; the one in which x itself is differentiated, the sigmoid, is missing."),
         Mistake("slope *= 3 * CUBIC", "slope *= CUBIC", "the derivative of x^3 is 3 x^2; the factor 3 is missing."),
         Mistake("slope *= 3 * CUBIC", "slope *= 0", "the derivative of the cubic term is missing in u'."),
         Mistake("slope *= SLOPE", "slope *= 1", "the factor 2 sqrt(2/pi), SLOPE, is missing in u'."))),
    Exercise(
        gelu_exact, gelu_exact_backward, ACTIVATION,
        ("y = x cdf(x) is a product of two functions of x: use the product rule.",
         "The derivative of the normal distribution function is the density: exp(-x^2 / 2) divided by a constant.",
         "The constant is sqrt(2 pi)."),
        (Mistake("slope += cdf", "slope += 0", "the term in which x itself is differentiated, the cdf, is missing."),
         Mistake("    slope *= x\n", "", "the density must be multiplied by x: the product rule keeps the other factor."),
         Mistake("1 / math.sqrt(2 * math.pi)", "1 / math.sqrt(math.pi)",
                 "the density is divided by sqrt(2 pi), not by sqrt(pi)."))),
    Exercise(
        dropout, dropout_backward,
        "Some entries of x become 0 in y, the others are multiplied by a constant.\n"
        "Return the gradient of x for the entries that forward has drawn.",
        ("No random number is needed: what was drawn is in the cache.",
         "y is x times an array that does not depend on x. What is the derivative of a product with a constant?"),
        (Mistake("    dx *= scale\n", "", "forward multiplies by 1 / (1 - p), and so must backward."),
         Mistake("dx = dy * keep", "dx = dy.copy()", "entries that forward made 0 have a gradient of 0."))),
    Exercise(
        mean_squared_error, mean_squared_error_backward,
        "The loss is the mean of (prediction - target)^2 over all entries.\n"
        "Return its gradient with respect to the predictions; dloss is a number.",
        ("Write the loss as a sum of N terms divided by N. In how many of the terms does one prediction occur?",
         "In one. Its derivative has a factor from the square, one from the mean, and dloss."),
        (Mistake("(2 * dloss / difference.size)", "(2 * dloss)", "forward takes the mean: the factor 1/N is missing."),
         Mistake("(2 * dloss / difference.size)", "(dloss / difference.size)",
                 "the derivative of a square has a factor 2."))),
    Exercise(
        binary_cross_entropy, binary_cross_entropy_backward,
        "The loss is the mean of ln(1 + exp z) - target z over all entries z of the logits.\n"
        "Return its gradient with respect to the logits; dloss is a number.",
        ("Differentiate ln(1 + exp z) first.", "It is exp z / (1 + exp z), which is the sigmoid of z.",
         "Do not forget that forward takes a mean. sigmoid_of_minus(-z) in npgpt.layers.activations cannot overflow."),
        (Mistake("dlogits *= dloss / logits.size", "dlogits *= dloss", "forward takes the mean: the factor 1/N is missing."),
         Mistake("    dlogits -= targets\n", "", "the derivative of -target z is missing.")),
    ),
    Exercise(
        embedding, embedding_backward,
        "Every id selects a row of the table.\nReturn the gradient of the table, (V, C); some ids occur more than once.",
        ("Which rows of the table does the loss depend on? The others have a gradient of 0.",
         "The row of an id that occurs twice is used twice, so it gets the sum of two gradients.",
         "dtable[ids] += dy keeps only the last of repeated ids; np.add.at adds up all of them."),
        (Mistake("dtable[distinct] = drows", "dtable[cache[0]] += dy",
                 "the row of a repeated id must get the sum of the gradients of all its occurrences; dtable[ids] += dy adds "
                 "only the last of them."),
         Mistake("dtable[distinct] = drows", "dtable[distinct] = drows / np.bincount(cache[0].flat)[distinct, None]",
                 "the gradients of a repeated id must be added up, not averaged."))),
    Exercise(
        unembedding, unembedding_backward,
        "Every logit is the dot product of a row of x with a row of the table.\nReturn the gradients of both.",
        ("It is a linear layer without a bias whose w is table^T.",
         "dx = dy w^T with w = table^T. The gradient of the table is that of w, transposed: x and dlogits change places."),
        (Mistake("np.matmul(dlogits.T, rows, out=dtable)", "(rows.T @ dlogits).reshape(table.shape)",
                 "it is transposed, and reshaped to fit: axes are exchanged by .T, not by reshape."),
         Mistake("np.matmul(dlogits.T, rows, out=dtable)", "np.matmul(dlogits.T, rows) / len(rows)",
                 "it is a mean over the rows, and must be their sum: the table is used in every row."))),
    Exercise(
        softmax, softmax_backward,
        "Each row of scores becomes weights that sum to 1, and every weight depends on every score of its row.\n"
        "Return the gradient of the scores; a masked score has a gradient of 0.",
        ("First find the derivative of y_i with respect to x_j, by the quotient rule, for i = j and for i different from j.",
         "It is y_i (1[i = j] - y_j). dx_j is the sum over i of dy_i times this.",
         "Of the two terms of the sum, one has only i = j left. In the other, y_j can be taken out of the sum: what "
         "remains is one number for each row."),
        (Mistake('dx = dy - np.einsum("...i,...i->...", dy, y)[..., None]', "dx = dy.copy()",
                 "every weight depends on all scores of its row: the term with the sum over the row is missing."),
         Mistake('dx = dy - np.einsum("...i,...i->...", dy, y)[..., None]', "dx = dy * (1 - y)",
                 "y (1 - y) is the derivative of y_i with respect to x_i only; y_i depends on the other scores too."),
         Mistake('np.einsum("...i,...i->...", dy, y)[..., None]', "dy.sum(axis=-1, keepdims=True)",
                 "the sum over the row is of dy times y, not of dy."),
         Mistake('np.einsum("...i,...i->...", dy, y)[..., None]', "(dy * y).sum()",
                 "the sum must be over each row by itself, not over the whole array: axis=-1, keepdims=True."),
         Mistake('np.einsum("...i,...i->...", dy, y)[..., None]', "(dy * y).mean(axis=-1, keepdims=True)",
                 "there is a mean over the row where there must be a sum."))),
    Exercise(
        cross_entropy, cross_entropy_backward,
        "The loss is the mean of ln sum_v exp z_v - z_target over the rows whose target counts, or a weighted sum of it.\n"
        "Return its gradient with respect to the logits, which is 0 in rows that do not count; dloss is a number.",
        ("Differentiate ln sum_v exp z_v with respect to one z_v. You know the result by another name.",
         "It is the softmax. The derivative of -z_target is -1 at the target and 0 elsewhere.",
         "The cache has exp z and its sum for each row (total). weight is what each row counts: 1/N, or an entry for each "
         "row that counts. The check begins without weights and smoothing."),
        (Mistake("dlogits[counted, chosen] -= dlosses * (1 - smoothing)", "pass",
                 "the derivative of -z_target is missing: -1 where the target is."),
         Mistake("dlosses = dloss * weight", "dlosses = dloss * np.ones(len(counted))",
                 "forward takes a mean of the rows that count: the factor 1/N is missing."),
         Mistake("dlosses = dloss * weight", "dlosses = dloss / len(total) * np.ones(len(counted))",
                 "N is the number of the targets that count, not of all rows; with weights, they are in its place."),
         Mistake("dlogits[counted, chosen] -= dlosses * (1 - smoothing)", "dlogits[counted, chosen] -= dlosses",
                 "with smoothing, the probability of the target is 1 - smoothing."),
         Mistake("dlogits -= share[:, None]", "pass",
                 "with smoothing, every class has the probability smoothing/V: its term is missing."))),
    Exercise(
        layer_norm, layer_norm_backward,
        "Every vector is centred and divided by its standard deviation, then multiplied by a gain and shifted by a bias.\n"
        "Return the gradients of x, gain and bias; every entry of xhat depends on every entry of x in its vector.",
        ("Begin with the bias and the gain: each of their entries is used in every vector, so there is a sum.",
         "Then let dxhat = dy * gain. xhat_i = (x_i - m) rstd depends on x_j in three ways: directly if i = j, through the "
         "mean m, and through rstd.",
         "The derivative of rstd = (variance + eps)^(-1/2) with respect to x_j is -rstd^2 xhat_j / C.",
         "The three ways give three terms, all times rstd: dxhat itself, minus its mean, minus xhat times another mean."),
        (Mistake("    dx -= xhat * along_xhat\n", "",
                 "the standard deviation depends on x too: the term with the mean of dxhat * xhat is missing."),
         Mistake("dx = dxhat - mean(dxhat)", "dx = dxhat.copy()",
                 "the mean depends on x too: the term with the mean of dxhat is missing."),
         Mistake("    dx -= xhat * along_xhat\n    dx *= rstd", "    dx = dxhat * rstd",
                 "mean and standard deviation depend on x too: the two terms that come from them are missing."),
         Mistake("    along_xhat = mean_of_product(dxhat, xhat)                      # (..., 1)\n"
                 "    dx = dxhat - mean(dxhat)\n",
                 "    along_xhat = (dxhat * xhat).mean()\n    dx = dxhat - dxhat.mean()\n",
                 "the means must be over each vector by itself, not over the whole array: axis=-1, keepdims=True."),
         Mistake("    dx *= rstd\n", "", "the factor rstd is missing."),
         Mistake("    dxhat = dy * gain\n", "    dxhat = dy.copy()\n",
                 "the gain is missing: y = gain * xhat + bias, so dxhat = dy * gain."),
         Mistake("    dxhat = dy * gain\n", "    dxhat, rstd = dy.copy(), rstd * gain\n",
                 "the gain is applied outside the means: it belongs to dxhat, of which the means are taken."),
         Mistake("dbias = dy.reshape(-1, C).sum(axis=0, out=dbias)", "dbias = dy.reshape(-1, C).mean(axis=0)",
                 "it is a mean over the vectors, and must be their sum: the bias is added to every vector."),
         Mistake('np.einsum("ri,ri->i", dy.reshape(-1, C), xhat.reshape(-1, C), out=dgain)',
                 "(dy * xhat * gain).reshape(-1, C).sum(axis=0)",
                 "the gain occurs once in gain * xhat, so its gradient does not contain it."))),
]
