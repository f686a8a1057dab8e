"""llama-swap over HTTP: the only place that imports httpx."""
