"""A full-screen terminal dashboard for a self-hosted llama-swap server."""

__version__ = "0.1.0"
