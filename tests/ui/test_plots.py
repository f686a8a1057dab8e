"""Plots, bars and gauges, cell by cell."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color
from textual.strip import Strip

from aitui.ui.plots import (
    Axis,
    Band,
    PeakScale,
    PlotInk,
    area_plot,
    bar,
    core_columns,
    gauge,
    limit_axis,
    mirror_plot,
    mix,
    round_axis,
    row_colors,
    stacked_plot,
)

GRAY, DIM, QUIET, GREEN, RED, BLUE = map(
    Color.parse, ("#444444", "#222222", "#333333", "#00ff00", "#ff0000", "#0000ff")
)
BLACK, WHITE = Color.from_rgb(0, 0, 0), Color.from_rgb(255, 255, 255)
INK = PlotInk(GRAY, DIM, QUIET)
COLORS = (GREEN, RED)
FREE = Band(0, GRAY, ("free 3",), DIM)


def text(strips: list[Strip]) -> list[str]:
    return [strip.text for strip in strips]


def cells(strip: Strip) -> list[tuple[str, Color | None, Color | None]]:
    """Each character with its color and the one behind it."""
    return [
        (sign, style.color if style else None, style.bgcolor if style else None)
        for sign_run, style, _ in strip
        for sign in sign_run
    ]


def test_two_samples_share_a_cell_of_four_steps() -> None:
    plot = area_plot((1, 2, 3, 4, 8, 6), Axis(8, 2), 3, COLORS, INK)
    assert text(plot) == ["  ⣧", "⣠⣾⣿"]


def test_rows_have_their_colors_from_the_bottom_up() -> None:
    upper, lower = area_plot((8, 8), Axis(8, 2), 1, COLORS, INK)
    assert (cells(upper), cells(lower)) == ([("⣿", RED, None)], [("⣿", GREEN, None)])


def test_what_was_not_sampled_has_no_dot_and_zero_a_quiet_base_line() -> None:
    (row,) = area_plot((None, None, 0, 0, None, 4), Axis(4, 1), 4, COLORS, INK)
    assert cells(row) == [
        (" ", None, None),
        (" ", None, None),
        ("⣀", INK.quiet, None),
        ("⢸", GREEN, None),
    ]


def test_gridlines_and_labels_lie_on_the_rows_of_ticks() -> None:
    plot = area_plot((None, 50), limit_axis(100, 4), 6, COLORS, INK, gutter=4)
    assert text(plot) == ["100 ⠁⠁", "      ", " 50 ⠁⢸", "     ⢸"]
    assert cells(plot[0])[-1] == ("⠁", INK.grid, None)


def test_two_figures_leave_the_middle_line_up_and_down() -> None:
    plot = mirror_plot(((4, 2), (1, 4)), Axis(4, 1), 3, colors=(BLUE, RED), ink=INK, gutter=2)
    assert text(plot) == ["4 ⣧", "4 ⢹"]
    assert cells(plot[1])[-1][1] == RED


def test_bands_lie_on_one_another_in_eighths() -> None:
    bands = (Band(4, BLUE), Band(6, RED))
    plot = stacked_plot((None, bands), Axis(16, 2, {0: "16"}), 5, INK, gutter=3)
    assert text(plot) == ["16 ⠁▂", "    ▄"]
    assert cells(plot[0])[-1] == ("▂", RED, None)
    assert cells(plot[1])[-1] == ("▄", BLUE, RED)


def test_the_longest_label_that_fits_is_written_into_the_widest_place() -> None:
    narrow, wide = Band(8, BLUE, ("a long name", "name")), Band(16, BLUE, ("a long name", "name"))
    plot = stacked_plot([(narrow,)] * 3 + [(wide,)] * 6, Axis(16, 2), 9, INK)
    assert text(plot) == ["         ", "  name   "]


def test_without_colors_bands_differ_by_pattern() -> None:
    bands = (Band(7, BLUE), Band(9, RED, pattern="▓"))
    plot = stacked_plot((bands, bands), Axis(16, 2), 2, INK, colorless=True)
    assert text(plot) == ["▓▓", "██"]
    assert all(cell[1:] == (None, None) for strip in plot for cell in cells(strip))


def test_edges_of_a_bar_are_exact_to_an_eighth() -> None:
    drawn = bar((Band(12, BLUE), Band(7, RED)), 40, 5, free=Band(0, GRAY))
    assert cells(drawn) == [
        (" ", None, BLUE),
        ("▌", BLUE, RED),
        ("▍", RED, GRAY),
        (" ", None, GRAY),
        (" ", None, GRAY),
    ]


def test_a_part_that_is_there_at_all_is_seen() -> None:
    drawn = bar((Band(999_999, BLUE), Band(1, RED)), 1_000_000, 4, free=FREE)
    assert cells(drawn)[-1] == ("▉", BLUE, RED)


def test_labels_in_a_bar_are_black_or_white_and_the_rest_has_its_own() -> None:
    drawn = bar((Band(8, GREEN, ("model 8.0", "model")),), 24, 24, free=FREE)
    assert drawn.text == " model       free 3     "
    assert cells(drawn)[1] == ("m", BLACK, GREEN)
    assert cells(drawn)[13] == ("f", DIM, GRAY)


def test_without_colors_a_bar_has_edges_of_its_own() -> None:
    drawn = bar(
        (Band(9, BLUE, ("one",)), Band(8, RED, ("two",))), 24, 24, free=FREE, colorless=True
    )
    assert drawn.text == " one     │two    │······"
    halves = bar((Band(9, BLUE), Band(8, RED)), 24, 12, free=FREE, colorless=True)
    assert halves.text.count("│") == 2
    whole = bar((Band(8, BLUE), Band(8, RED)), 24, 12, free=FREE, colorless=True)
    assert whole.text == "    │   │···"


def test_a_gauge_ends_at_half_a_cell() -> None:
    drawn = gauge((Band(2, BLUE), Band(1.5, RED)), 6, 6, GRAY)
    assert drawn.text == "━━━╸──"
    assert [color for _, color, _ in cells(drawn)] == [BLUE] * 2 + [RED] * 2 + [GRAY] * 2


def test_each_core_has_a_column() -> None:
    assert text(core_columns((0, 50, 100), 2, 3, COLORS)) == ["  █", "▁██"]
    assert text(core_columns((100, 0), 1, 8, COLORS)) == ["███ ▁▁▁ "]
    assert text(core_columns((0, 100, 50, 50), 1, 2, COLORS)) == ["▄▄"]


@pytest.mark.parametrize(
    ("axis", "top", "ticks"),
    [
        (round_axis(51, 7), 70, {1: "60", 3: "40", 5: "20"}),
        (round_axis(2.3, 8), 8 / 3, {2: "2", 5: "1"}),
        (round_axis(1921, 9), 2250, {1: "2000", 5: "1000"}),
        (round_axis(51, 4), 60, {0: "60", 2: "30"}),
        (limit_axis(48, 6), 48, {0: "48", 2: "32", 4: "16"}),
        (limit_axis(100, 6), 100, {0: "100", 3: "50"}),
        (limit_axis(100, 7), 100 * 7 / 6, {1: "100", 4: "50"}),
        (limit_axis(100, 3), 100, {0: "100"}),
        (limit_axis(3000, 6, 1000), 3000, {0: "3", 2: "2", 4: "1"}),
        (limit_axis(math.nan, 1), 1, {0: "1"}),
    ],
)
def test_ticks_are_round_and_on_edges_of_rows(
    axis: Axis, top: float, ticks: dict[int, str]
) -> None:
    assert axis.top == pytest.approx(top)
    assert axis.ticks == ticks


def test_a_scale_grows_at_once_and_shrinks_after_a_minute() -> None:
    scale = PeakScale()
    tops = [scale.axis(peak, 7, now).top for peak, now in ((51, 0), (8, 59), (8, 61), (90, 62))]
    assert tops == pytest.approx([70, 70, 35 / 3, 350 / 3])


def test_colors_are_mixed_along_the_rows_unless_they_may_not() -> None:
    low, high = row_colors(((0, BLACK), (1, WHITE)), 2)
    assert (low, high) == (Color.from_rgb(63, 63, 63), Color.from_rgb(191, 191, 191))
    assert row_colors(((0.25, RED), (0.75, BLUE)), 4, mixed=False) == (RED, RED, BLUE, BLUE)
    assert mix(RED, BLACK, 0.5) == Color.from_rgb(127, 0, 0)


ANY = st.one_of(st.none(), st.floats(), st.integers(-(10**40), 10**40))
SIZE = st.integers(-2, 40)
BANDS = st.lists(
    st.builds(Band, st.floats(), st.sampled_from(COLORS), st.just(("a name", "字")), st.just(None)),
    max_size=12,
)


@given(st.lists(ANY, max_size=100), SIZE, SIZE, SIZE, st.floats(), st.booleans())
def test_no_figure_makes_a_plot_wider_or_higher(
    values: list[float | None], width: int, rows: int, gutter: int, limit: float, rounded: bool
) -> None:
    axis = (round_axis if rounded else limit_axis)(limit, rows)
    assert all(0 <= row < rows for row in axis.ticks)
    plots = (
        area_plot(values, axis, width, COLORS, INK, gutter=gutter),
        mirror_plot((values, values), axis, width, colors=COLORS, ink=INK, gutter=gutter)[::2],
        core_columns(values, rows, width, COLORS),
    )
    for plot in plots:
        assert [strip.cell_length for strip in plot] == [max(width, 0)] * max(rows, 0)


@given(st.lists(BANDS, max_size=50), SIZE, SIZE, SIZE, st.floats(), st.booleans())
def test_no_parts_make_a_bar_wider(
    columns: list[list[Band]], width: int, rows: int, gutter: int, total: float, colorless: bool
) -> None:
    bands = columns[0] if columns else []
    plot = stacked_plot(
        columns, limit_axis(total, rows), width, INK, gutter=gutter, colorless=colorless
    )
    assert [strip.cell_length for strip in plot] == [max(width, 0)] * max(rows, 0)
    assert bar(bands, total, width, free=FREE, colorless=colorless).cell_length == max(width, 0)
    assert gauge(bands, total, width, GREEN).cell_length == max(width, 0)


@given(st.floats(1e-6, 1e9), st.integers(1, 60))
def test_a_round_scale_holds_its_peak_and_wastes_less_than_half(peak: float, rows: int) -> None:
    axis = round_axis(peak, rows)
    assert peak <= axis.top * 1.000001
    assert peak >= axis.top / 2
    distance = rows - max(axis.ticks)
    step = axis.top * distance / rows
    assert step == pytest.approx(float(f"{step:.1e}"))
