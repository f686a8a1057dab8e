"""How much memory a model takes: measured where it has run, estimated where that can be told."""
