"""The machine behind a server over SSH."""
