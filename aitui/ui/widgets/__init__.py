"""One widget a file; widgets show and ask, and decide nothing."""
