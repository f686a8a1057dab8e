"""llama-swap's config.yaml: parse, locate, edit, verify, lint."""
