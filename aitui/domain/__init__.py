"""Pure values and rules: no I/O, no Textual, no clock that isn't handed in."""
