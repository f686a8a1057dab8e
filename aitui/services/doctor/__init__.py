"""The checks of `aitui doctor`, from the settings to the terminal."""
