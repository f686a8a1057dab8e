"""The machine behind the server: its graphics cards, processors and memory at one moment."""
