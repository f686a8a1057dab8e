"""A conversation with a model, and what streams into it."""
