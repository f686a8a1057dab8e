"""One file a view or dialog."""
