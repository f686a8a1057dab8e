"""How much memory a model takes, and whether the next one fits."""
