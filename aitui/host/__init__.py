"""The machine behind a server: the only place that imports asyncssh."""
