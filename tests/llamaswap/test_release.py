"""How old a server is: by its routes, and by its version where that agrees with them."""

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.release import ServerRelease
from aitui.domain.snapshot import Server
from aitui.llamaswap.client import LlamaSwapClient
from catalogue import dialects, each_dialect
from stand_in import FixedResponse, StandIn

RELEASES = {
    Dialect.V217: ServerRelease(217, 218),
    Dialect.V218: ServerRelease(218, 219),
    Dialect.HEAD: ServerRelease(236, 252),
    Dialect.V263: ServerRelease(263, 264),
}


async def release_of(server: Server, version: str | None = None) -> ServerRelease:
    async with LlamaSwapClient(server) as client:
        if version is None:
            version = (await client.version()).version
        return await client.release(version)


@each_dialect
async def test_the_release_is_found_without_starting_anything(
    stand_in: StandIn, server: Server
) -> None:
    assert await release_of(server) == RELEASES[stand_in.dialect]
    assert stand_in.running() == {}


@dialects(Dialect.V218, Dialect.V263)
async def test_a_number_that_one_route_confirms_needs_no_other(
    stand_in: StandIn, server: Server
) -> None:
    await release_of(server)
    paths = [request.path for request in stand_in.requests]
    assert paths == ["/api/version", "/api/events/logs"]


@pytest.mark.parametrize("version", ["", "my-build", "218", "v258"])
@dialects(Dialect.V263)
async def test_routes_are_believed_more_than_a_version(server: Server, version: str) -> None:
    assert await release_of(server, version) == ServerRelease(259)


@pytest.mark.parametrize("version", ["", "v263", "259", "250"])
async def test_a_route_that_is_missing_is_too(server: Server, version: str) -> None:
    assert await release_of(server, version) == (
        ServerRelease(250, 251) if version == "250" else ServerRelease(end=236)
    )


@pytest.mark.parametrize(("version", "found"), [("v263", (263, 264)), ("mine", (0, None))])
async def test_a_proxy_that_refuses_the_routes_leaves_the_version(
    stand_in: StandIn, server: Server, version: str, found: tuple[int, int | None]
) -> None:
    stand_in.fault("/api/", FixedResponse(403))
    assert await release_of(server, version) == ServerRelease(*found)


@pytest.mark.parametrize(
    ("release", "asked", "has", "words"),
    [
        (ServerRelease(), 252, None, ""),
        (ServerRelease(end=236), 236, False, "v235 or older"),
        (ServerRelease(236, 252), 240, None, "v236 to v251"),
        (ServerRelease(259), 256, True, "v259 or newer"),
        (ServerRelease(218, 219), 219, False, "v218"),
    ],
)
def test_what_a_release_has(
    release: ServerRelease, asked: int, has: bool | None, words: str
) -> None:
    assert (release.has(asked), release.words) == (has, words)
