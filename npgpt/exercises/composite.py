"""Exercises: the layers that call other layers, whose backward functions are given, and the blocks."""
from npgpt.exercises.exercise import Exercise, Mistake
from npgpt.layers.attention import attention, attention_backward
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.cross_attention import (
    attend_to_memory, attend_to_memory_backward, cross_attention, cross_attention_backward, memory_keys_values,
    memory_keys_values_backward)
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.self_attention import self_attention, self_attention_backward, split_heads
from npgpt.model.block import block, block_backward
from npgpt.model.parameters import AttentionParameters, FeedForwardParameters, LayerNormParameters
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward

GROUPS = AttentionParameters, FeedForwardParameters, LayerNormParameters

COMPOSITE = [
    Exercise(
        feed_forward, feed_forward_backward,
        "Two linear layers with a nonlinearity between them.\n"
        "Go through forward's lines from the last to the first, and call the backward function of each.",
        ("linear_backward(dy, cache.down) returns three gradients. Which of them goes on to the nonlinearity?",
         "ACTIVATIONS has pairs of functions: the second is the backward pass. Its name is in cache.activation_name.",
         "The order of the results is that of the arguments: dx, dw_up, db_up, dw_down, db_down."),
        (Mistake("dh = activate_backward(da, cache.activation)", "dh = da",
                 "the backward pass of the nonlinearity is left out."),)),
    Exercise(
        attention, attention_backward,
        "Two matrix products, with a softmax between them.\n"
        "Return the gradients of q, k and v; softmax_backward and dropout_backward are given.",
        ("For c = a b the gradients are da = dc b^T and db = a^T dc. Apply this to y = weights v first; .mT transposes the "
         "last two axes.",
         "The cache holds the weights after dropout. dweights goes through dropout, if there is any, then through softmax.",
         "scores = scaled_q k^T: what are the gradients of scaled_q and of k? And what is q's, if scaled_q = q / sqrt(D)?"),
        (Mistake("dq = dscaled_q * (1 / math.sqrt(k.shape[-1]))", "dq = dscaled_q", "the factor 1 / sqrt(D) is missing: "
                 "scaled_q = q / sqrt(D)."),
         Mistake("dk = dscores.mT @ scaled_q", "dk = dscores.mT @ scaled_q * (1 / math.sqrt(k.shape[-1]))",
                 "the factor 1 / sqrt(D) is there twice: scaled_q contains it already."),
         Mistake("dk = dscores.mT @ scaled_q", "dk = dscores.mT @ (scaled_q * math.sqrt(k.shape[-1]))",
                 "the factor 1 / sqrt(D) is missing: scores = scaled_q k^T, with scaled_q in the place of q."),
         Mistake("dk = dscores.mT @ scaled_q", "dk = (scaled_q.mT @ dscores).reshape(k.shape)",
                 "it is transposed, and reshaped to fit: axes are exchanged by .mT, not by reshape."),
         Mistake("dscores = softmax_backward(dweights, softmax_cache)", "dscores = dweights",
                 "the backward pass of softmax is left out."),
         Mistake("dweights = dropout_backward(dweights, dropout_cache)", "pass",
                 "the backward pass of dropout is left out."),
         Mistake("dv = weights.mT @ dy", "dv = softmax_cache[0].mT @ dy",
                 "the values were multiplied by the weights after dropout, not by those before."))),
    Exercise(
        causal_attention, causal_attention_backward,
        "Queries are computed in tiles of QUERY_TILE; each tile attends to the keys up to its own last one.\n"
        "The cache holds one cache of attention for each tile: return the gradients of q, k and v.",
        ("attention_backward gives each tile's dq, dk and dv. Every query is in one tile: the dqs stand side by side.",
         "A key is seen by its own tile and by later ones: its gradients add up. Begin with zeros and add each tile's part.",
         "A tile's keys end where its queries end: at past + stop, with past = S - T. With a window they need not begin "
         "at 0: their number is cache.k.shape[-2]. The first tile sees all keys from 0 on, which gives past."),
        (Mistake("dk[..., keys, :] += dk_tile", "dk[..., keys, :] = dk_tile",
                 "a key is seen by several tiles of queries: their gradients must be added up."),
         Mistake("dv[..., keys, :] += dv_tile", "dv[..., keys, :] = dv_tile",
                 "a value is seen by several tiles of queries: their gradients must be added up."))),
    Exercise(
        self_attention, self_attention_backward,
        "One linear layer gives queries, keys and values, every head attends by itself, and another linear layer mixes "
        "the heads.\n"
        "Return the gradients of x and the parameters; the attention is cache.pattern.backward(dheads, cache.attention).",
        ("Go through forward's lines from the last to the first. split_heads is the inverse of merge_heads.",
         "The pattern gives dq, dk and dv, each (B, H, T, D). They must be put together as split_qkv took them apart.",
         "split_qkv returns a view: make an empty dqkv (B, T, 3A) and write dq, dk and dv into split_qkv(dqkv, n_head). "
         "The sum of x's three gradients is then part of one product."),
        (Mistake("        view[...] = gradient\n", "        view[...] = gradient[:1]\n",
                 "the gradients of the first sequence are used for all sequences."),
         Mistake("zip(split_qkv(dqkv, H), cache.pattern.backward(dheads, cache.attention))",
                 "zip(dqkv.reshape(B, T, 3, H, D).transpose(2, 0, 3, 1, 4), "
                 "cache.pattern.backward(dheads, cache.attention))",
                 "dq, dk and dv are put together in another order than split_qkv takes: the columns are those of the first "
                 "head's q, k and v, then those of the second's."),
         Mistake("dheads = split_heads(dmerged, cache.n_head)",
                 "dheads = dmerged.reshape(len(dmerged), cache.n_head, dmerged.shape[1], -1)",
                 "the heads are split by a reshape alone: merge_heads exchanges two axes as well."),
         Mistake("cache.pattern.backward(dheads, cache.attention))",
                 "[g * (i == 2) for i, g in enumerate(cache.pattern.backward(dheads, cache.attention))])",
                 "only the values' gradient is there: x is used for queries and keys too.")),
        given=(split_heads,)),
    Exercise(
        memory_keys_values, memory_keys_values_backward,
        "The keys and values of a second sequence, for every head.\n"
        "Return the gradients of the memory and the parameters.",
        ("Undo the transpose and the reshape first, in the opposite order; then there is a linear layer.",
         "The transpose (3, 0, 2, 1, 4) turns (B, S, H, 2, D) into (2, B, H, S, D). Which transpose turns it back?"),
        (Mistake("dkeys_values.transpose(1, 3, 2, 0, 4)", "dkeys_values.transpose(1, 3, 0, 2, 4)",
                 "the columns of w_kv are those of the first head's k and v, then those of the second's."),
         Mistake("dkeys_values.transpose(1, 3, 2, 0, 4)", "dkeys_values",
                 "the axes are not transposed back before they are flattened."))),
    Exercise(
        attend_to_memory, attend_to_memory_backward,
        "Queries from x attend to keys and values that are given, and a linear layer mixes the heads.\n"
        "Return the gradients of x, keys_values and the parameters.",
        ("Go through forward's lines from the last to the first. split_heads and merge_heads are each other's inverse.",
         "dk and dv together have the shape of keys_values: np.stack puts them together."),
        (Mistake("np.stack([dk, dv])", "np.stack([dv, dk])", "dk and dv have changed places."),
         Mistake("linear_backward(merge_heads(dq), cache.q, (dw_q, db_q))",
                 "linear_backward(dq.reshape(dy.shape), cache.q, (dw_q, db_q))",
                 "the heads are merged by a reshape alone: split_heads exchanges two axes as well.")),
        given=(split_heads,)),
    Exercise(
        cross_attention, cross_attention_backward,
        "Keys and values from the memory, then the attention to them: two layers, one after the other.\n"
        "Return eight gradients, in the order of the arguments.",
        ("attend_to_memory was called last: begin with it. One of its gradients goes on to memory_keys_values.",
         "The results are dx, dmemory, dw_q, db_q, dw_kv, db_kv, dw_proj, db_proj."),
        (Mistake("memory_keys_values_backward(dkeys_values, cache.keys_values, (dw_kv, db_kv))",
                 "memory_keys_values_backward(dkeys_values[::-1], cache.keys_values, (dw_kv, db_kv))",
                 "the gradients of keys and values have changed places."),)),
    Exercise(
        block, block_backward,
        "Two branches, attention and feed-forward, each applied to a normalised copy of the residual stream and added.\n"
        "Return the gradients of x and, in groups, of the parameters; cache.layers has the branches' backward functions.",
        ("Go through forward's lines from the last to the first. y = m + branch: dy is the gradient of both.",
         "m is used twice, in the residual stream and by the layer norm of the branch. What becomes of its two gradients?",
         "They add up: dm is dy plus what comes back through feed_forward and ln_2. It is the same for x in the first half.",
         "Where the caches of dropout are not None, dropout_backward comes before the branch, not in the residual stream."),
        (Mistake("    dm += dy\n", "", "the gradient of the residual stream, past the feed-forward branch, is missing."),
         Mistake("    dx += dm\n", "", "the gradient of the residual stream, past the attention branch, is missing."),
         Mistake("layer_norm_backward(dnormed, cache.ln_2, out.ln_2)\n    dm += dy",
                 "layer_norm_backward(dnormed + dy, cache.ln_2, out.ln_2)",
                 "the residual stream's gradient went through ln_2, which only the branch passes."),
         Mistake("dropout_backward(dy, cache.mlp_dropout)", "dy", "the dropout of the feed-forward branch is left out."),
         Mistake("dropout_backward(dm, cache.attn_dropout)", "dm", "the dropout of the attention branch is left out.")),
        given=GROUPS),
    Exercise(
        post_ln_block, post_ln_block_backward,
        "Two branches, attention and feed-forward, each added to the residual stream, which is then normalised.\n"
        "Return the gradients of x and, in groups, of the parameters; cache.layers has the branches' backward functions.",
        ("Go through forward's lines from the last to the first: y comes from a layer norm, so that it is first here.",
         "The sum n + branch has one gradient, which is that of both terms.",
         "n is used twice, so that two gradients add up; and so is x."),
        (Mistake("    dn += dsum\n", "", "the gradient of the residual stream, past the feed-forward branch, is missing."),
         Mistake("    dx += dsum\n", "", "the gradient of the residual stream, past the attention branch, is missing."),
         Mistake("    dn += dsum\n", "    dn += dy\n",
                 "dy itself was added: the residual stream goes through the layer norm too, in a post-LN block.")),
        given=GROUPS),
]
