"""Values to text, shared by the command line and the screen."""
