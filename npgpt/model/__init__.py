"""Models: configurations, parameters, blocks, and the bodies and heads of GPT, BERT and the encoder-decoder."""
