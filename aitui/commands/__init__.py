"""One file a command: the keys, the palette and the command line call the same ones."""
