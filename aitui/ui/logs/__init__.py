"""The log view: its rows, their search, and their strips."""
