"""llama-swap's config.yaml as text: read, looked into, and changed by single values."""
