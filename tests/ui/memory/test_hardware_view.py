"""View 4: whose the memory is, and what is said where something is missing."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.color import Color
from textual.geometry import Size
from textual.strip import Strip
from textual.theme import BUILTIN_THEMES

from aitui.domain.hardware.host_sample import GpuProcess
from aitui.domain.hardware.info import NATIVE, HostInfo, merge_host_info
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.hues import Hues
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.models import LoadFailure, Model
from aitui.domain.snapshot import Server
from aitui.ui.card_frame import CardLayout
from aitui.ui.theme import DARK, LIGHT
from aitui.ui.widgets.gpu_memory import GpuMemoryPane
from aitui.ui.widgets.hardware_view import Arrangement, HardwareView, arrange
from catalogue import QUICK
from stand_in import StandIn
from ui.contrast import unreadable
from ui.driven import Driven, driven
from ui.hand_made import NOW, SERVER, STILL, WALL, live, show_instead_of_servers
from ui.memory.standing import (
    BIG,
    DEEPSEEK,
    FAILED,
    FIRST,
    GIB,
    MACHINE,
    RECORDED,
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
    models: tuple[Model, ...] = (),
) -> AsyncIterator[Driven]:
    """View 4 of that hardware."""
    hues = Hues({BIG: 1, SMALL: 2, DEEPSEEK: 3})
    show_instead_of_servers(monkeypatch, replace(live(*models), hardware=standing, hues=hues))
    async with driven(SERVER, folder, size=size, clock=STILL) as app:
        await app.see(" ms ")
        await app.press("4")
        await app.see("╭" if standing.usage.source and size[0] > 50 else "help")
        await app.settle()
        yield app


async def test_the_key_shows_what_the_server_measured(app: Driven, stand_in: StandIn) -> None:
    await app.press("4")
    await app.see("GPU 0", "RTX PRO 6000 Blackwell", "memory 0.6 / 96 GB · 1 %")
    await app.press("1")
    await app.unsee("Blackwell")


async def test_a_model_that_is_loaded_appears_on_its_card(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)
    await app.press("4")
    await app.see("memory 4.6 / 96 GB", "free 91.4")


async def test_each_card_has_its_memory_by_model_and_four_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        title = app.line_of("RTX 4090")
        assert "memory 19.0 / 24 GB · 79 %" in title
        assert "memory 2.0 / 48 GB · 4 %" in title
        legend = [line for line in app.text.split("\n") if "Qwen3.6-35B" in line or "other" in line]
        assert "16.0" in legend[0]
        assert app.line_of("other").split() >= ["other", "1.0"]
        for label, value in (("utilization", "18 %"), ("temperature", "71 °C"), ("power", "341 W")):
            assert value in app.line_of(label)
        assert {"⣿", "⠁"} <= set(app.text)


async def test_a_figure_that_a_card_does_not_report_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(hardware(shares(SECOND)), monkeypatch, tmp_path) as app:
        assert "utilization" in app.text
        assert "power" not in app.text
        assert "clock" not in app.text
        assert "None" not in app.text


async def test_a_known_limit_is_the_scale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = replace(FIRST, power_limit=450.0, clock=2505.0, clock_limit=3105.0)
    async with looking_at(hardware(shares(known)), monkeypatch, tmp_path) as app:
        assert "341 of 450 W" in app.line_of("power")
        assert "2,505 of 3,105 MHz" in app.line_of("clock")
        assert "450 ⠁" in app.text


async def test_the_key_of_the_time_range_marks_the_active_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        for words, begins in (
            ("5  15  60 min", "15"),
            ("5 15  60  min", "60"),
            (" 5  15 60 min", "5"),
        ):
            assert f" t {words} " in app.line_of("zoom a card")
            assert app.text.count(f" {begins} min ago ") == 5
            await app.press("t")


async def test_what_was_seen_of_each_model_stays_in_the_plot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed = Model(FAILED, failed=LoadFailure(WALL - 300, "out of memory"))
    look = looking_at(RECORDED, monkeypatch, tmp_path, (200, 50), models=(failed,))
    async with look as app:
        lines = app.text.split("\n")
        assert any("earlier" in line for line in lines)
        assert re.search(r"DeepSeek-R1\S* +until \d\d:\d\d", app.text)
        assert re.search(r"gpt-oss\S* +failed \d\d:\d\d", app.text)
        assert "not recorded" in app.text


async def test_the_host_has_cores_memory_swap_network_and_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standing = hardware(shares(FIRST), machine=replace(MACHINE, temperature=58.0))
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        titles = app.line_of("4 cores")
        for words in ("CPU", "14 %", "load 1.2 · 58 °C", "RAM", "22.0 of 128 GB", "net", "B/s"):
            assert words in titles
        assert "1.0 of 8 GB" in app.line_of("swap")
        assert "disk" not in titles


@pytest.mark.parametrize(
    ("width", "facts"),
    [
        (60, "Intel Xeon E5-2699 v4 · Debian 12"),
        (80, "Intel Xeon E5-2699 v4 · Debian 12 · up 12d 03h"),
        (120, "Intel Xeon E5-2699 v4 · Debian 12 · KVM virtual machine · up 12d 03h"),
    ],
)
async def test_what_the_host_is_loses_whole_facts_the_least_needed_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int, facts: str
) -> None:
    async with looking_at(hardware(shares(FIRST)), monkeypatch, tmp_path, (width, 50)) as app:
        assert f"─ {facts} ─" in app.line_of("Xeon")


async def test_what_the_host_is_is_shown_when_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = HostInfo(
        system="Ubuntu 24.04", environment=NATIVE, accelerators=("Tesla P40", "Tesla P40", "RTX")
    )
    nothing = HardwareState(error="turned off", facts=merge_host_info(None, facts))
    async with looking_at(nothing, monkeypatch, tmp_path) as app:
        assert app.line_of("Ubuntu").strip() == "Ubuntu 24.04"
        assert "2 × Tesla P40 · RTX" in app.text
        assert "None" not in app.text


async def test_without_a_card_the_memory_of_the_host_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standing = hardware(source=SampleSource.HOST)
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "GPU" not in app.text
        assert "22.0 of 128 GB" in app.line_of("RAM  ")
        assert "22/128 GB" in app.line_of("home")


async def test_a_card_that_vanished_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standing = hardware(shares(FIRST), before=(FIRST, SECOND))
    async with looking_at(standing, monkeypatch, tmp_path) as app:
        assert "✘ GPU 1 AMD Radeon PRO W7900 no longer responds" in app.text


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


async def test_a_server_that_reports_nothing_has_words_and_no_empty_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = HardwareState(error="its performance monitor is turned off")
    async with looking_at(nothing, monkeypatch, tmp_path) as app:
        assert "This server doesn't report its hardware" in app.text
        assert "its performance monitor is turned off" in app.text
        assert "ssh_host" in app.text
        assert "VRAM" not in app.text
        assert "╭" not in app.text


async def test_a_sample_that_has_grown_old_says_how_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = replace(TWO_CARDS, last_sample_at=NOW - 300)
    async with looking_at(old, monkeypatch, tmp_path) as app:
        assert "! measured 5m 00s ago" in app.text


async def test_a_card_whose_memory_is_not_reported_has_no_bar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = replace(FIRST, used_bytes=None, total_bytes=None)
    async with looking_at(hardware(shares(silent)), monkeypatch, tmp_path) as app:
        assert "memory not reported" in app.line_of("RTX 4090")
        assert "free" not in app.text


@pytest.mark.parametrize("size", SIZES)
async def test_every_frame_is_as_wide_as_the_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: tuple[int, int]
) -> None:
    long = "unsloth_Qwen3.6-235B-A22B-Thinking-2607-with-a-very-long-name-UD-Q4_K_XL"
    standing = hardware(shares(FIRST, (long, 16), (SMALL, 2)), shares(SECOND))
    async with looking_at(standing, monkeypatch, tmp_path, size) as app:
        drawn = [strip for strip in app.strips if strip.text.startswith(("╭", "│", "╰"))]
        assert len(drawn) >= size[1] - 5
        assert {len(strip.text) for strip in drawn} == {size[0]}
        assert all(strip.text[-1] in "╮│╯" for strip in drawn)


async def test_a_small_terminal_has_a_line_and_a_bar_a_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path, (40, 10)) as app:
        assert app.line_of("GPU 0").split()[2:8] == ["19.0/24", "GB", "18", "%", "71", "°C"]
        assert "2.0/48 GB" in app.line_of("GPU 1")
        assert "RAM 22.0/128 GB" in app.line_of("Host")
        assert "Qwen3.6-35B 16.0" in app.text
        assert "free 46.0" in app.text


@pytest.mark.parametrize(
    ("size", "cards", "found"),
    [
        ((80, 22), 2, (1, CardLayout(1, 3, across=True), 8)),
        ((120, 33), 2, (2, CardLayout(6, 6), 11)),
        ((200, 47), 2, (2, CardLayout(16, 6), 15)),
        ((120, 33), 1, (1, CardLayout(6, 6), 11)),
        ((120, 33), 8, (2, CardLayout(1, 0), 13)),
        ((100, 30), 4, (1, CardLayout(1, 0, across=True), 14)),
        ((80, 10), 2, (1, None, 0)),
    ],
)
def test_cards_have_as_much_room_as_the_host_leaves(
    size: tuple[int, int], cards: int, found: tuple[int, CardLayout | None, int]
) -> None:
    assert arrange(Size(*size), cards, host_rows=11) == Arrangement(*found)


async def test_a_card_can_have_the_whole_view(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        await app.press("tab", "z")
        await app.unsee("RTX 4090")
        assert "W7900" in app.text
        assert "swap" not in app.text
        await app.press("z")
        await app.see("RTX 4090", "swap")


async def test_processes_and_limits_are_beside_the_host_or_on_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    busy = replace(FIRST, link="4.0 ×16", throttled_by=("temperature",), persistent=True)
    others = GpuProcess(2210, {FIRST.key: GIB}, "sunshine", 3725.0)
    processes = (GpuProcess(41872, {FIRST.key: 16 * GIB}, "x", 734.0, BIG), others)
    standing = replace(hardware(shares(busy, (BIG, 16))), processes=processes)
    for size, key in (((200, 50), "1"), ((120, 36), "p")):
        async with looking_at(standing, monkeypatch, tmp_path, size) as app:
            if key == "p":
                assert "PID" not in app.text
                await app.press(key)
            await app.see("Processes", "by memory")
            assert "16.0   12m 14s" in app.line_of("41872")
            assert "sunshine" in app.line_of("2210")
            assert "temperature" in app.line_of("throttling")
            assert ("swap" in app.text) is (key != "p")


async def test_it_reads_in_every_theme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faint = []
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        for theme in (*sorted(set(BUILTIN_THEMES) - TERMINALS_OWN), DARK, LIGHT):
            app.app.theme = theme
            await app.settle()
            faint += [f"{theme}: {words}" for words in unreadable(app.strips)]
    assert faint == []


async def test_without_colors_the_parts_of_a_bar_are_divided_and_labeled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path, (80, 24)) as app:
        bar = app.line_of("free 5.0")
        assert "Qwen3.6-35B 16.0" in bar
        assert "│" in bar.strip("│ ")
        assert "···" in bar


async def test_nothing_is_drawn_while_another_view_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        view = app.app.screen.query_one(HardwareView)
        await app.press("1")
        await app.settle()
        drawn: list[int] = []

        def draw(_: HardwareView, size: Size) -> list[Strip]:
            drawn.append(size.width)
            return []

        monkeypatch.setattr(HardwareView, "_draw", draw)
        view.snapshot = replace(view.snapshot, hardware=replace(TWO_CARDS, error="new"))
        await app.settle()
        assert not drawn


async def test_between_two_moves_only_the_newest_column_of_a_plot_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        view = app.app.screen.query_one(HardwareView)
        last, seen = TWO_CARDS.history.samples[-1], []
        for seconds, use in ((1.0, 90.0), (1.5, 2.0)):
            gpus = (replace(last.gpus[0], use_percent=use), *last.gpus[1:])
            later = replace(last, at=last.at + seconds, gpus=gpus)
            history = TWO_CARDS.history.with_samples([later])
            view.snapshot = replace(view.snapshot, hardware=replace(TWO_CARDS, history=history))
            await app.settle()
            seen.append([strip.text for strip in app.strips])
        before, after = seen
        places = {
            column
            for old, new in zip(before, after, strict=True)
            for column, (one, other) in enumerate(zip(old, new, strict=True))
            if one != other and (one > "⠀" or other > "⠀")
        }
        assert len(places) == 1


@pytest.mark.parametrize(
    ("size", "there"), [((200, 50), True), ((120, 36), True), ((80, 24), False)]
)
async def test_a_large_screen_has_the_memory_beside_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: tuple[int, int], there: bool
) -> None:
    show_instead_of_servers(monkeypatch, replace(live(), hardware=TWO_CARDS))
    async with driven(SERVER, tmp_path, size=size, clock=STILL) as app:
        await app.see("72")
        await app.settle()
        assert ("─ GPU memory ─" in app.text.replace("╭", "─")) is there
        if there:
            await app.see("21.0 / 72 GB · 51.0 free", "19.0 / 24 GB  79 %")


async def test_the_pane_of_the_memory_is_drawn_where_no_resize_was_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(GpuMemoryPane, "on_resize", lambda _: None)
    show_instead_of_servers(monkeypatch, replace(live(), hardware=TWO_CARDS))
    async with driven(SERVER, tmp_path, size=(120, 36), clock=STILL) as app:
        await app.see("21.0 / 72 GB · 51.0 free", "19.0 / 24 GB  79 %")


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


async def test_a_model_has_one_hue_on_every_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with looking_at(TWO_CARDS, monkeypatch, tmp_path) as app:
        ((first, second),) = _swatches(app.strips, "SmolLM3-3B")
        assert first == second is not None


def _swatches(strips: Sequence[Strip], name: str) -> list[list[Color | None]]:
    """The colors before a name, in each line that has it twice."""
    found: list[list[Color | None]] = []
    for strip in strips:
        segments = list(strip)
        styles = [
            segments[number - 2].style
            for number, segment in enumerate(segments)
            if name in segment.text
        ]
        if strip.text.count(name) == 2:
            found.append([style.bgcolor if style is not None else None for style in styles])
    return found
