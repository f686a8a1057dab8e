"""The live state of one server: polls, listens, merges, reconnects."""
