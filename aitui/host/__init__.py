"""The machine behind the server: its files and its commands, over SSH or on this one."""
