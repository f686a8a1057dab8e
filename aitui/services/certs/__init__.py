"""Certificates of a CA, its proxy and its clients: their files, and what is done with them."""
