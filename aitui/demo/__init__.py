"""The stand-in server and its machine."""
