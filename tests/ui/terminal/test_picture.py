"""What the terminal shows after differences is what it would show after whole updates."""

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from aitui.ui.terminal.screen_diff import ScreenDiff

WIDTH, HEIGHT = 24, 3
CONSOLE = Console(color_system="truecolor", force_terminal=True)
STYLES = (Style(), Style(color="red"), Style(bold=True, bgcolor="#102030"), Style(reverse=True))
LETTERS = "ab ab ab ▌●≈é宽"

words = st.text(LETTERS, min_size=0, max_size=WIDTH)
pieces = st.lists(st.tuples(words, st.sampled_from(STYLES)), max_size=4)


def line(parts: list[tuple[str, Style]]) -> Strip:
    return Strip([Segment(*part) for part in parts]).adjust_cell_length(WIDTH, Style())


lines = pieces.map(line)
wholes = st.lists(lines, min_size=HEIGHT, max_size=HEIGHT).map(
    lambda strips: LayoutUpdate([[strip] for strip in strips], Region(0, 0, WIDTH, HEIGHT))
)


@st.composite
def parts(draw: st.DrawFn) -> ChopsUpdate:
    """An update of some lines, each of them in two chops."""
    rows = sorted(draw(st.sets(st.integers(0, HEIGHT - 1), min_size=1)))
    cut = draw(st.integers(1, WIDTH - 1))
    chops: list[dict[int, Strip | None]] = [{0: None, cut: None} for _ in range(HEIGHT)]
    for row in rows:
        left, right = draw(lines), draw(lines)
        chops[row] = {0: left.crop(0, cut), cut: right.crop(0, WIDTH - cut)}
    spans = [(row, 0, WIDTH) for row in rows]
    return ChopsUpdate(chops, spans, [[cut, WIDTH]] * HEIGHT)


def one_line(segment: Segment) -> LayoutUpdate:
    return LayoutUpdate([[Strip([segment])]], Region(0, 0, WIDTH, 1))


def shown(sent: list[str]) -> list[list[object]]:
    screen = pyte.Screen(WIDTH, HEIGHT)
    screen.reset_mode(pyte.modes.DECAWM)
    stream = pyte.Stream(screen)
    for text in sent:
        stream.feed(text)
    return [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]


@given(st.lists(wholes | parts(), min_size=1, max_size=6), wholes)
def test_differences_end_with_the_same_screen(
    updates: list[LayoutUpdate | ChopsUpdate], first: LayoutUpdate
) -> None:
    picture = ScreenDiff()
    every = [first, *updates]
    ours = [picture.diff(update, (WIDTH, HEIGHT), CONSOLE) for update in every]
    assert shown(ours) == shown([update.render_segments(CONSOLE) for update in every])


@given(wholes)
def test_what_is_shown_already_is_not_sent_again(update: LayoutUpdate) -> None:
    picture = ScreenDiff()
    picture.diff(update, (WIDTH, HEIGHT), CONSOLE)
    assert not picture.diff(update, (WIDTH, HEIGHT), CONSOLE)


@given(wholes)
def test_what_was_forgotten_is_sent_whole(update: LayoutUpdate) -> None:
    picture = ScreenDiff()
    whole = picture.diff(update, (WIDTH, HEIGHT), CONSOLE)
    picture.invalidate()
    assert picture.diff(update, (WIDTH, HEIGHT), CONSOLE) == whole


def test_a_single_letter_costs_a_few_bytes() -> None:
    picture = ScreenDiff()
    style = Style(color="#102030", bgcolor="#405060")
    for text in ("ttl 25 m, and more", "ttl 24 m, and more"):
        sent = picture.diff(one_line(Segment(text, style)), (WIDTH, 1), CONSOLE)
    assert len(sent) < 60


def test_a_link_is_not_sent() -> None:
    update = one_line(Segment("here", Style(link="http://evil.invalid")))
    assert ScreenDiff().diff(update, (WIDTH, 1), CONSOLE).endswith("here")
