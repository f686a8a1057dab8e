"""The stand-in: a llama-swap server on real sockets, with only the GPUs and the weights faked."""
