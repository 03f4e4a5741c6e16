"""Generation: a model continues a text token by token, fills in what was masked, or translates."""
