"""The header of a GGUF model file: what is needed to tell its memory, read by ranges."""
