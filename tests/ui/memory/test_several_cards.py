"""Several cards, of one maker and of two: whose the memory is, and whether the next model fits."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from aitui.demo.graphics_cards import TWO_CARDS, GraphicsCard, GraphicsDriver
from aitui.demo.world import DemoEnvironment, demo_world
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.memory.forecast import FitVerdict
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.snapshot import Clock, Server
from aitui.errors import LoadFailed
from aitui.paths import Paths
from aitui.services.config_watch import read_server_config
from aitui.services.host_admin import HostAdmin, open_administration
from aitui.services.load import load_model
from stand_in import StandIn
from ui.memory.feeding import fed, until_memory
from watched import Watched, nobody, yes

MIB = 1 << 20
RADEON = GraphicsCard(0, "AMD Radeon PRO W7900", 48 * 1024, "0000:03:00.0", GraphicsDriver.AMDGPU)
ARC = GraphicsCard(1, "Arc Pro B60", 24 * 1024, "0000:08:00.0", GraphicsDriver.XE)
GEFORCE = GraphicsCard(2, "NVIDIA GeForce RTX 3090", 24 * 1024, "0000:0a:00.0")
SMALL_CARDS = (
    GraphicsCard(0, "NVIDIA GeForce RTX 3060", 12 * 1024, "0000:01:00.0"),
    GraphicsCard(1, "NVIDIA GeForce RTX 3090", 24 * 1024, "0000:02:00.0"),
)
MODELS = """\
startPort: 5800
macros:
  server: /opt/llama-server --port ${PORT} --model /home/ai-server/models
models:
  spread:
    cmd: ${server}/spread.gguf -c 16384 -ngl 99 --weights-mib 9000 --kv-heads 4
  first:
    cmd: ${server}/first.gguf -c 16384 -ngl 99 --weights-mib 9000 --kv-heads 4 --device CUDA0
  hidden:
    env: [CUDA_VISIBLE_DEVICES=1]
    cmd: ${server}/hidden.gguf -c 16384 -ngl 99 --weights-mib 9000 --kv-heads 4
  uneven:
    cmd: ${server}/uneven.gguf -c 16384 -ngl 99 --weights-mib 9000 --kv-heads 4 -ts 3,1
"""


def shares(watch: Watched, model: str) -> dict[int, int]:
    """MiB that a model has of each card, by the card's number."""
    return {
        card.gpu.index: round(share.used_bytes / MIB)
        for card in watch.snapshot.hardware.usage.cards
        for share in card.models
        if share.model == model
    }


def use(memory: HardwareState) -> list[int]:
    """MiB in use on each card."""
    return [(card.gpu.used_bytes or 0) // MIB for card in memory.usage.cards]


@asynccontextmanager
async def two_cards(folder: Path) -> AsyncIterator[tuple[StandIn, Watched]]:
    """A server with two cards, of whose machine nothing is known but what it tells itself."""
    async with StandIn(MODELS, cards=TWO_CARDS) as stand_in, AsyncExitStack() as stack:
        server = Server(url=stand_in.url, identity="two")
        watch = await stack.enter_async_context(fed(server, folder))
        await until_memory(watch, lambda memory: len(memory.usage.cards) == 2)
        yield stand_in, watch


@asynccontextmanager
async def administered(world: DemoEnvironment, folder: Path) -> AsyncIterator[HostAdmin]:
    """The machine behind a demo's server, as the dashboard has it at hand."""
    certificates = world.certificates
    server = Server(
        url=world.url,
        identity="demo",
        ca=certificates.root_ca,
        client_cert=certificates.client_cert,
        client_key=certificates.client_key,
        ssh_host=world.ssh_host,
        ssh_home=world.ssh_setup.home,
    )
    clock = Clock(time.monotonic, time.time)
    async with open_administration(server, Paths.below(folder), clock) as admin:
        yield admin


@asynccontextmanager
async def machine(
    folder: Path, *cards: GraphicsCard, text: str = MODELS
) -> AsyncIterator[tuple[DemoEnvironment, Watched]]:
    """A server and, over SSH, its machine with these cards; its config file has been read."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(demo_world(config_text=text, cards=cards))
        admin = await stack.enter_async_context(administered(world, folder))
        watch = await stack.enter_async_context(fed(admin.server, folder))
        watch.session.hardware.set_host(admin.host)
        preset = await read_server_config(admin)
        await watch.session.monitor.update_config(preset.contexts)
        watch.session.hardware.update_commands(preset.commands, preset.environments)
        await until_memory(watch, lambda memory: memory.usage.source is SampleSource.HOST)
        yield world, watch


async def test_a_model_on_two_cards_has_its_share_of_each(tmp_path: Path) -> None:
    async with two_cards(tmp_path) as (stand_in, watch):
        await load_model(watch.session, "spread", nobody)
        await until_memory(watch, lambda memory: "spread" in memory.usage.observed_now)
        (process,) = (one for one in stand_in.processes if one.id == "spread")
        held = stand_in.cards.allocation(process)
        assert set(held) == {0, 1}
        assert shares(watch, "spread") == pytest.approx(held, abs=2)
        assert watch.snapshot.hardware.usage.total_bytes == 96 * 1024 * MIB


async def test_each_card_empties_when_its_model_goes(tmp_path: Path) -> None:
    async with two_cards(tmp_path) as (_, watch):
        await load_model(watch.session, "first", nobody)
        taken = 9000 + 1536 + 256
        await until_memory(watch, lambda memory: use(memory) == [612 + taken, 612])
        await watch.session.client.unload("first")
        await until_memory(watch, lambda memory: use(memory) == [612, 612])


async def test_a_card_that_vanishes_no_longer_counts(tmp_path: Path) -> None:
    async with two_cards(tmp_path) as (stand_in, watch):
        stand_in.cards.cards = TWO_CARDS[:1]  # one falls off the bus
        found = await until_memory(watch, lambda memory: len(memory.usage.cards) == 1)
        assert found.hardware.usage.total_bytes == 48 * 1024 * MIB


async def test_a_radeon_is_told_by_the_kernel(tmp_path: Path) -> None:
    async with machine(tmp_path, RADEON) as (_, watch):
        await load_model(watch.session, "spread", nobody)
        found = await until_memory(watch, lambda memory: "spread" in memory.usage.observed_now)
        (card,) = found.hardware.usage.cards
        assert (card.gpu.name, card.gpu.unified) == (RADEON.name, False)
        assert card.gpu.total_bytes == 48 * 1024 * MIB
        assert card.gpu.temperature
        assert shares(watch, "spread") == {0: 9000 + 1536 + 256}
        assert card.others == pytest.approx(612 * MIB, abs=2 * MIB)


async def test_an_arc_is_as_full_as_its_clients_make_it(tmp_path: Path) -> None:
    async with machine(tmp_path, ARC) as (_, watch):
        await load_model(watch.session, "spread", nobody)
        found = await until_memory(watch, lambda memory: "spread" in memory.usage.observed_now)
        (card,) = found.hardware.usage.cards
        assert card.gpu.total_bytes == 24 * 1024 * MIB
        assert card.gpu.used_bytes == (9000 + 1536 + 256) * MIB


async def test_cards_of_three_makers_stand_side_by_side(tmp_path: Path) -> None:
    async with machine(tmp_path, RADEON, ARC, GEFORCE) as (_, watch):
        await load_model(watch.session, "first", nobody)
        found = await until_memory(watch, lambda memory: "first" in memory.usage.observed_now)
        cards = found.hardware.usage.cards
        assert [card.gpu.total_bytes for card in cards] == [
            24 * 1024 * MIB,
            48 * 1024 * MIB,
            24 * 1024 * MIB,
        ]
        assert [bool(card.models) for card in cards] == [True, False, False]


@pytest.mark.parametrize("model", ["spread", "first", "hidden", "uneven"])
@pytest.mark.parametrize("tokens", [16_384, 98_304, 131_072, 393_216])
async def test_a_load_ends_as_the_fit_says(tmp_path: Path, model: str, tokens: int) -> None:
    text = MODELS.replace("-c 16384", f"-c {tokens}")
    async with machine(tmp_path, *SMALL_CARDS, text=text) as (_, watch):
        await until_memory(watch, lambda memory: model in memory.usage.footprints)
        verdict = watch.snapshot.hardware.fit(model, tokens).verdict
        try:
            await load_model(watch.session, model, yes(watch))
        except LoadFailed:
            assert verdict in {FitVerdict.NO, FitVerdict.TIGHT}
        else:
            assert verdict in {FitVerdict.FITS, FitVerdict.TIGHT}
