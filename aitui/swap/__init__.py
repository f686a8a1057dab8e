"""The llama-swap server over HTTP: the only place that knows httpx."""
