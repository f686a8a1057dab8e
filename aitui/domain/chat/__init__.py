"""Conversations with a model, and streaming replies."""
