"""Workarounds for Textual and terminals, each with its reason."""
