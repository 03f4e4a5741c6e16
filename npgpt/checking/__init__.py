"""Checking: hand-written gradients against numerical ones. Ships with npgpt, to be used on your own layers too.

    from npgpt.checking.layer import check_layer
    print(check_layer(my_layer, my_layer_backward, x, w, b))
"""
