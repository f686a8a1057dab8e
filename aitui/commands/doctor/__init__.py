"""`aitui doctor`: one check after the other, from the settings to the terminal."""
