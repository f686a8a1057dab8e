"""The colors of the screen: readable, by name, and by hand-chosen numbers with 256 colors."""

from pathlib import Path

import pytest
from rich.color import Color, ColorType
from textual.app import App, ComposeResult
from textual.widgets import Static

from aitui.domain.hues import Hues
from aitui.domain.models import LoadFailure, Model
from aitui.domain.snapshot import Snapshot
from aitui.ui.frame import set_frame_title
from aitui.ui.plain import PlainText
from aitui.ui.terminal.filters import contrast_ratio, xterm_color
from aitui.ui.theme import build_themes, hue_of, label_color, shade, theme_color
from ui.driven import driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.mixture import MIXTURE
from ui.themed import Themed

LEAST = {"foreground": 14.0, "muted": 5.6} | dict.fromkeys(
    ("ready", "transit", "warning", "error"), 5.6
)
HUES = ("m1", "m2", "m3", "m4", "m5")


def rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


@pytest.mark.parametrize("few_colors", [False, True])
def test_colors_stand_out_from_the_background(few_colors: bool) -> None:
    for theme in build_themes(few_colors=few_colors):
        colors = theme.variables
        ground = rgb(colors["background"])
        for name, least in (LEAST | dict.fromkeys(HUES, 4.4)).items():
            ratio = contrast_ratio(rgb(colors[name]), ground)
            assert ratio >= (min(least, 4.4) if few_colors else least), (theme.name, name, ratio)
        selected = contrast_ratio(rgb(colors["muted"]), rgb(colors["select"]))
        assert selected >= (4.3 if few_colors else 4.6)


@pytest.mark.parametrize("system", ["truecolor", "256"])
async def test_a_palette_of_256_gets_the_numbers_chosen_by_hand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor" if system == "truecolor" else "")
    monkeypatch.setenv("TERM", "xterm-256color")
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, theme="aitui-dark") as app:
        await app.see("failed")
        sent = [
            color
            for strip in app.strips
            for _, style, _ in strip
            if style
            for color in (style.color, style.bgcolor)
            if color is not None
        ]
        numbers = {color.number for color in sent if color.type is ColorType.EIGHT_BIT}
        # Background, surface, selection, text, ready, transit, error.
        chosen = {233, 234, 236, 254, 79, 81, 210}
        assert (numbers & chosen) == (chosen if system == "256" else set())
        cache = shade(app.app, "m1", "cache").triplet
        mixed = shade(app.app, "m1", "plot").triplet
        hue = theme_color(app.app, "m1").triplet
        assert (mixed == hue, cache == xterm_color(25)) == (system == "256", system == "256")


def test_a_label_on_a_bar_is_the_ink_that_reads_better() -> None:
    for theme in build_themes(few_colors=False):
        for name in HUES:
            ground = rgb(theme.variables[name])
            ink = label_color(Color.from_rgb(*ground)).triplet
            assert ink is not None
            assert contrast_ratio((ink.red, ink.green, ink.blue), ground) >= 4.5


def test_a_failed_load_is_an_error_and_a_sixth_model_gray() -> None:
    failed = Model("broken", failed=LoadFailure(1.0, "out of memory"))
    shown = Snapshot(models=(failed,), hues=Hues({"one": 2, "six": 0}))
    assert [hue_of(shown, name) for name in ("one", "six", "broken")] == ["m2", "other", "error"]


class Framed(Themed):
    CSS = """
    .frame { border: round $frame; height: 3; width: 40; }
    """

    def compose(self) -> ComposeResult:
        for name in ("first", "second"):
            pane = PlainText("text", id=name, classes="frame")
            pane.can_focus = True
            yield pane


def lines(app: App[None]) -> list[str]:
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


async def test_a_frame_shows_name_and_value_in_its_upper_line() -> None:
    app = Framed()
    async with app.run_test(size=(40, 6)) as pilot:
        first, second = (app.query_one(f"#{name}", Static) for name in ("first", "second"))
        set_frame_title(first, "[b]Models", "2 ready", (("62.2", "bold foreground"), (" / 96", "")))
        set_frame_title(first, "", "5 min ago", "now", bottom=True)
        set_frame_title(second, "Models", "a count that is far too long for it", "48 now")
        second.focus()
        await pilot.pause()
        assert lines(app) == [
            "╭─ [b]Models 2 ready ────── 62.2 / 96 ─╮",
            "│text                                  │",
            "╰─ 5 min ago ──────────────────── now ─╯",
            "╭─ Models ──────────────────── 48 now ─╮",
            "│text                                  │",
            "╰──────────────────────────────────────╯",
        ]
        chips = [
            segment.text
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.bgcolor == theme_color(app, "accent")
        ]
        assert chips == [" Models "]
