"""View 4: whose the memory is, and what is said where something is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.theme import BUILTIN_THEMES

from aitui.domain.hardware.info import NATIVE, HostInfo, merge_host_info
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.snapshot import Server
from catalogue import QUICK
from stand_in import StandIn
from ui.contrast import unreadable
from ui.driven import Driven, driven
from ui.hand_made import NOW, SERVER, STILL, live, show_instead_of_servers
from ui.memory.standing import (
    BIG,
    FIRST,
    GIB,
    MACHINE,
    SECOND,
    SMALL,
    TWO_CARDS,
    hardware,
    shares,
)

SIZES = [(80, 24), (120, 36), (200, 50)]
TERMINALS_OWN = {"ansi-dark", "ansi-light"}


@asynccontextmanager
async def looking_at(
    standing: HardwareState,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    size: tuple[int, int] = (120, 36),
    theme: str = "textual-dark",
) -> AsyncIterator[Driven]:
    """View 4 of that hardware."""
    show_instead_of_servers(monkeypatch, replace(live(), hardware=standing))
    async with driven(SERVER, folder, size=size, clock=STILL, theme=theme) as app:
        await app.see(" ms ")
        await app.press("4")
        await app.see("the plots show")
        await app.settle()
        yield app


async def test_the_key_shows_what_the_server_measured(app: Driven, stand_in: StandIn) -> None:
    await app.press("4")
    await app.see("NVIDIA RTX PRO 6000 Blackwell", "0.6G of 96.0G", "measured by the server")
    await app.press("1")
    await app.unsee("Blackwell")


async def test_a_model_that_is_loaded_appears_on_its_card(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)
    await app.press("4")
    await app.see(f"{QUICK} 4.0G", "0.6G others")


async def test_each_card_has_its_models_others_and_what_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        assert "19.0G of 24.0G · 5.0G free" in app.line_of("RTX 4090")
        assert "2.0G of 48.0G · 46.0G free" in app.line_of("W7900")
        assert f"{BIG} 16.0G" in app.text
        assert "1.0G others" in app.text


async def test_use_temperature_and_power_have_values_and_plots(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        for label, value in (("busy", "87 %"), ("heat", "71 °C"), ("power", "341 W")):
            line = app.line_of(f"{label} ")
            assert value in line
            assert set(line) & set("▁▂▃▄▅▆▇█")


async def test_a_figure_that_a_card_does_not_tell_has_no_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(hardware(shares(SECOND)), monkeypatch, tmp_path) as app:
        assert "power" not in app.text
        assert "None" not in app.text


async def test_the_plots_show_another_time_at_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        for minutes in ("15", "60", "5", "15"):
            await app.see(f"the plots show {minutes} min")
            await app.press("t")


async def test_the_machine_has_its_processors_memory_and_swap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(hardware(shares(FIRST)), monkeypatch, tmp_path) as app:
        assert "14 % of 4 cores · load 1.2 0.9 0.7" in app.text
        assert "RAM   22.0G of 128.0G" in app.text
        assert "swap  1.0G of 8.0G" in app.text


@pytest.mark.parametrize(
    ("width", "system", "hardware_words"),
    [
        (60, "{os} · up 12d 03h", "{cpu} · 22 cores · 44 threads"),
        (
            80,
            "{os} · Linux 6.18.44 · x86_64 · up 12d 03h",
            "{cpu} · 22 cores · 44 threads · NVIDIA driver 580.142",
        ),
        (
            120,
            "{os} · Linux 6.18.44 · x86_64 · KVM virtual machine · up 12d 03h",
            "{cpu} · 1 socket · 22 cores · 44 threads · 128.0G RAM · NVIDIA driver 580.142",
        ),
    ],
)
async def test_what_the_machine_is_loses_whole_facts_the_least_needed_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int, system: str, hardware_words: str
) -> None:
    standing = hardware(shares(FIRST))
    async with looking_at(standing, monkeypatch, tmp_path, (width, 50)) as app:
        names = {"os": "Debian GNU/Linux 12 (bookworm)", "cpu": "Intel Xeon E5-2699 v4"}
        assert app.line_of("Debian").strip() == system.format_map(names)
        assert app.line_of("Xeon").strip() == hardware_words.format_map(names)
        assert ("facts from the host" in app.text) is (width >= 80)


async def test_what_the_machine_is_is_told_where_nobody_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = HostInfo(
        system="Ubuntu 24.04", environment=NATIVE, accelerators=("Tesla P40", "Tesla P40", "RTX")
    )
    nothing = HardwareState(error="turned off", facts=merge_host_info(None, told))
    async with looking_at(nothing, monkeypatch, tmp_path) as app:
        assert app.line_of("Ubuntu").strip() == "Ubuntu 24.04"
        assert "2 × Tesla P40 · RTX" in app.text
        assert "facts from the server" in app.text
        assert "None" not in app.text


async def test_nobody_tells_what_the_machine_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standing = replace(hardware(shares(FIRST)), facts=HostInfo())
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "facts" not in app.text
        assert app.text.rstrip().count("swap  1.0G of 8.0G") == 1


async def test_without_a_card_the_memory_of_the_machine_is_shared_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standing = hardware(source=SampleSource.HOST)
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "GPU" not in app.text
        assert "22.0G others" in app.text
        assert "RAM" in app.line_of("home")
        assert "22/128 G" in app.line_of("home")


async def test_a_card_that_vanished_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standing = hardware(shares(FIRST), before=(FIRST, SECOND))
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "✘ GPU 1 AMD Radeon PRO W7900 has vanished" in app.text


async def test_cards_that_two_sources_call_differently_have_not_vanished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    renamed = replace(FIRST, uuid="0000:01:00.0")
    standing = replace(
        hardware(shares(renamed), source=SampleSource.HOST), history=TWO_CARDS.history
    )
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "vanished" not in app.text


async def test_a_tool_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    standing = hardware(source=SampleSource.HOST, troubles=("nvidia-smi does not answer",))
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "! nvidia-smi does not answer" in app.text


async def test_a_server_that_tells_nothing_has_words_and_no_empty_bar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = HardwareState(error="its performance monitor is turned off")
    async with looking_at(nothing, monkeypatch, tmp_path) as app:
        assert "Memory usage is not available from this server" in app.text
        assert "its performance monitor is turned off" in app.text
        assert "ssh_host" in app.text
        assert "VRAM" not in app.text
        assert "·····" not in app.text


async def test_a_sample_that_has_grown_old_says_how_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = replace(TWO_CARDS, last_sample_at=NOW - 300)
    async with looking_at(old, monkeypatch, tmp_path) as app:
        assert "measured by the server, 5m 00s ago" in app.text


async def test_a_card_whose_memory_nobody_tells_is_shown_without_a_bar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = replace(FIRST, used_bytes=None, total_bytes=None)
    async with looking_at(hardware(shares(silent)), monkeypatch, tmp_path) as app:
        assert "its memory is not reported" in app.line_of("RTX 4090")
        assert "···" not in app.text


@pytest.mark.parametrize("size", SIZES)
async def test_no_line_is_wider_than_the_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: tuple[int, int]
) -> None:
    long = "unsloth_Qwen3.6-235B-A22B-Thinking-2607-with-a-very-long-name-UD-Q4_K_XL"
    standing = hardware(shares(FIRST, (long, 16), (SMALL, 2)), shares(SECOND))
    async with looking_at(standing, monkeypatch, tmp_path, size) as app:
        assert "Q4_K_XL 16.0G" in app.text
        first = app.line_of("RTX 4090")
        assert first.rstrip().endswith("5.0G free")


@pytest.mark.parametrize("theme", sorted(set(BUILTIN_THEMES) - TERMINALS_OWN))
async def test_it_reads_in_every_theme(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, theme: str
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path, theme=theme) as app:
        assert not list(unreadable(app.strips))


async def test_without_colours_the_models_differ_by_their_pattern(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        (bar,) = [strip.text for strip in app.strips if "█████" in strip.text][:1]
        assert bar.count("█") > bar.count("▓") > 0
        assert f"█ {BIG}" in app.text
        assert f"▓ {SMALL}" in app.text
        assert "░ 1.0G others" in app.text


@pytest.mark.parametrize(("size", "there"), [((200, 50), True), ((120, 36), False)])
async def test_a_large_screen_has_a_strip_of_it_beside_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: tuple[int, int], there: bool
) -> None:
    show_instead_of_servers(monkeypatch, replace(live(), hardware=TWO_CARDS))
    async with driven(SERVER, tmp_path, size=size, clock=STILL) as app:
        await app.see("VRAM")
        await app.settle()
        assert ("Memory · the last hour" in app.text) is there


@pytest.mark.parametrize("width", [40, 60, 80, 120])
async def test_the_header_keeps_the_memory_at_every_width(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int
) -> None:
    show_instead_of_servers(monkeypatch, replace(live(), hardware=TWO_CARDS))
    async with driven(SERVER, tmp_path, size=(width, 24), clock=STILL) as app:
        await app.see("━━╸")
        assert "21/72" in app.line_of("home")


async def test_a_memory_that_is_known_in_part_is_not_made_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    half = hardware(shares(replace(FIRST, used_bytes=None)), machine=replace(MACHINE, cores=()))
    async with looking_at(half, monkeypatch, tmp_path) as app:
        assert "VRAM 24 GB" in app.line_of("home")
        assert f"{24 * GIB}" not in app.text


async def test_a_model_looks_the_same_on_every_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        lines = [line for line in app.text.split("\n") if f"{SMALL} " in line and "G" in line]
        signs = {line[line.index(SMALL) - 2] for line in lines}
        assert len(lines) == 2
        assert len(signs) == 1
