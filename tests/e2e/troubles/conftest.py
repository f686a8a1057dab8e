"""A stand-in behind a real Caddy, as in the tests of the client."""

from e2e.caddy.conftest import behind_caddy, caddy, client, foreign, guide, served, upstream

__all__ = ["behind_caddy", "caddy", "client", "foreign", "guide", "served", "upstream"]
