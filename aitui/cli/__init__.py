"""The command line: arguments, printing, and asking on the terminal."""
