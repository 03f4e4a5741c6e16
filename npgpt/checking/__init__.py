"""Checking: hand-written gradients against numerical ones, for your own layers too.

    print(npgpt.check_layer(my_layer, my_layer_backward, x, w, b))
"""
