"""What the machine is, asked of server and host: once, and again where it may be another one."""

from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.hardware.info import HostInfo
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.snapshot import Server
from aitui.host.local import LocalHost
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services.samplers import SERVER_INFO_MAX_AGE, HostInfoFetcher
from stand_in import StandIn
from ui.memory.feeding import fed, until_memory
from watched import asked_for, eventually

PATH = "/api/hardware"
OLDER, NEWER = (
    pytest.mark.parametrize("stand_in", [dialect], indirect=True)
    for dialect in (Dialect.V218, Dialect.HEAD)
)


@NEWER
async def test_a_newer_server_tells_what_its_machine_is(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        snapshot = await until_memory(watch, lambda memory: memory.facts.non_empty_fields())
    facts = snapshot.hardware.facts
    assert facts.system == "Debian 13.1"
    assert facts.booted_at is None
    assert set(facts.origins.values()) == {SampleSource.SERVER}


@NEWER
async def test_it_is_asked_once_however_often_samples_come(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await until_memory(watch, lambda memory: len(memory.history.samples) >= 3)
        await until_memory(watch, lambda memory: memory.facts.non_empty_fields())
    assert len(asked_for(stand_in, PATH)) == 1


@NEWER
async def test_a_new_connection_may_be_to_another_machine(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await until_memory(watch, lambda memory: memory.facts.non_empty_fields())
        await stand_in.stop()
        await watch.until_lost()
        assert watch.snapshot.hardware.facts.non_empty_fields()
        await stand_in.start()
        await watch.until_live()
        await eventually(lambda: len(asked_for(stand_in, PATH)) == 2)


@OLDER
async def test_an_older_server_is_not_asked_again_and_that_is_no_trouble(
    server: Server, stand_in: StandIn
) -> None:
    now = 1.0
    async with LlamaSwapClient(server) as client:
        facts = HostInfoFetcher(client, lambda: now)
        assert await facts.fetch() == SERVER_INFO_MAX_AGE
        now = 101.0
        assert await facts.fetch() == SERVER_INFO_MAX_AGE - 100.0
        assert len(asked_for(stand_in, PATH)) == 1
        now = SERVER_INFO_MAX_AGE + 1.0
        assert await facts.fetch() == SERVER_INFO_MAX_AGE
        assert len(asked_for(stand_in, PATH)) == 2
    assert facts.facts is None


async def test_the_host_counts_before_the_server(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with LocalHost() as host, fed(server, tmp_path) as watch:
        watch.session.hardware.set_host(host)
        snapshot = await until_memory(watch, lambda memory: memory.facts.non_empty_fields())
        facts = snapshot.hardware.facts
        assert facts.booted_at is not None
        assert facts.origins["kernel"] is SampleSource.HOST
        watch.session.hardware.set_host(None)
        await watch.session.hardware.sample_once()
        assert watch.snapshot.hardware.facts == HostInfo()
