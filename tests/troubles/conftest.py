"""A stand-in behind a real Caddy, as in the tests of the client."""

from caddy.conftest import behind_caddy, caddy, client, foreign, guide, served, upstream

__all__ = ["behind_caddy", "caddy", "client", "foreign", "guide", "served", "upstream"]
