"""A stand-in behind a real Caddy, and the settings that lead there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from e2e.caddy.openssl import Guide, Pair
from e2e.caddy.proxy import Caddy
from stand_in import StandIn


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """The authority of the server and its clients."""
    return Guide(tmp_path_factory.mktemp("guide"))


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """Another authority, of which Caddy knows nothing."""
    return Guide(tmp_path_factory.mktemp("foreign"), "Foreign")


@pytest.fixture(scope="session")
def client(guide: Guide) -> Pair:
    """The client certificate that Caddy accepts; treat the files as read-only."""
    return guide.client()


@pytest.fixture(scope="session")
def served(guide: Guide) -> Pair:
    """Caddy's own certificate."""
    return guide.server("DNS:localhost", "IP:127.0.0.1")


@pytest.fixture
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[StandIn]:
    """A llama-swap without TLS of its own, v218 unless parametrized."""
    async with StandIn(CATALOGUE, getattr(request, "param", Dialect.V218)) as running:
        yield running


@pytest.fixture
async def caddy(
    tmp_path: Path, upstream: StandIn, guide: Guide, served: Pair
) -> AsyncIterator[Caddy]:
    """A Caddy in front of it."""
    async with Caddy(tmp_path / "caddy", upstream.url, served, guide.root) as running:
        yield running


@pytest.fixture
def behind_caddy(caddy: Caddy, guide: Guide, client: Pair) -> Server:
    """The settings that lead there."""
    return Server(
        caddy.url,
        identity="behind-caddy",
        ca=guide.root,
        client_cert=client.certificate,
        client_key=client.key,
        timeout=20.0,
    )
