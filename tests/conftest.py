"""A stand-in server on a real socket, over TLS with client certificates, and its settings."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from aitui.collector import tune_collector
from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from certificates import make_certificates
from idle_time import IDLE_TIME
from other_client import OtherClient
from stand_in import StandIn
from watched import Watched, watched

pytest_plugins = ["real_servers", "undrawn_frames"]

# What a test sees of colors must not depend on the terminal that it runs in.
os.environ["COLORTERM"] = "truecolor"

# An example's time says how busy the machine is; what has to be fast has a test of its own.
# Each run draws other examples: what thirty miss the next runs find.
settings.register_profile("aitui", deadline=None, max_examples=30)
settings.load_profile("aitui")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the soak, which lasts a minute by the clock: as the last one it runs alone."""
    items.sort(key=lambda item: "/soak/" not in item.nodeid)


def pytest_collection_finish() -> None:
    """Leave eight thousand tests out of every search for garbage."""
    tune_collector()


@pytest.fixture(autouse=True)
def _idle_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Time in which nothing happens passes at once, except beside servers of the distribution."""
    if request.node.get_closest_marker("real_server"):
        yield
    else:
        with IDLE_TIME.for_a_test():
            yield


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A throw-away authority, its server and one client; treat the files as read-only."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def stand_in(
    request: pytest.FixtureRequest, certificates: Certificates
) -> AsyncIterator[StandIn]:
    """A running stand-in with the models of the catalogue, v218 unless parametrized."""
    dialect = getattr(request, "param", Dialect.V218)
    async with StandIn(CATALOGUE, dialect, certificates) as running:
        yield running


@pytest.fixture
def server(stand_in: StandIn, certificates: Certificates) -> Server:
    """The settings with which the stand-in is reached."""
    return Server(
        url=stand_in.url,
        identity="stand-in",
        name="stand-in",
        ca=certificates.root_ca,
        client_cert=certificates.client_cert,
        client_key=certificates.client_key,
        timeout=10.0,
    )


@pytest.fixture
def other(stand_in: StandIn, certificates: Certificates) -> OtherClient:
    """Somebody else who uses the same stand-in."""
    return OtherClient(stand_in, certificates)


@pytest.fixture
async def watch(server: Server, tmp_path: Path) -> AsyncIterator[Watched]:
    """A live session with the stand-in, its events flowing."""
    async with watched(server, tmp_path) as running:
        await running.until_events_flow()
        yield running
