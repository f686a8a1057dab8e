"""What a server's machines need, as text: files, commands, and steps in a browser."""
