"""Where the panes of view 1 go, which columns have room, and how ids are shortened."""

import pytest
from msgspec.structs import replace
from textual.geometry import Region, Size

from aitui.format.fit import shorten_id
from aitui.ui.models_layout import (
    ColumnNeed,
    Frame,
    PaneNeeds,
    fit_columns,
    memory_rows,
    pane_regions,
)

EVERY = frozenset(
    {"models", "detail", "activity", "log", "memory", "throughput", "prompts", "chat"}
)
DEMO = PaneNeeds(77, 138, 54, models=14, cards=2, panes=EVERY)


def placed(width: int, height: int, needs: PaneNeeds = DEMO) -> dict[str, tuple[int, ...]]:
    """Each pane with its columns and its rows of the screen, both from and up to."""
    message = height > 24
    body = Size(width, height - 2 - message)
    found = pane_regions(body, Size(width, height), needs)
    assert sum(each.area for each in found.panes.values()) == body.area
    for region in found.panes.values():
        assert Region(0, 0, *body).contains_region(region)
    return {
        key: (each.x, each.right - 1, each.y + 1, each.bottom) for key, each in found.panes.items()
    }


def test_120x36_is_as_in_its_picture() -> None:
    assert placed(120, 36) == {
        "models": (0, 76, 1, 17),
        "activity": (0, 76, 18, 33),
        "detail": (77, 119, 1, 17),
        "memory": (77, 119, 18, 24),
        "throughput": (77, 119, 25, 33),
    }


def test_200x50_is_as_in_its_picture() -> None:
    assert placed(200, 50) == {
        "models": (0, 137, 1, 17),
        "activity": (0, 137, 18, 33),
        "log": (0, 137, 34, 47),
        "detail": (138, 199, 1, 17),
        "memory": (138, 199, 18, 24),
        "throughput": (138, 199, 25, 36),
        "prompts": (138, 199, 37, 47),
    }


@pytest.mark.parametrize(("width", "chat"), [(109, 109), (110, 74), (120, 84), (200, 138)])
def test_a_zoomed_chat_has_a_rail_beside_it_from_110_columns_on(width: int, chat: int) -> None:
    panes = placed(width, 36, replace(DEMO, chat=True, zoomed="chat"))
    assert panes.pop("chat") == (0, chat - 1, 1, 33)
    assert panes == ({"rail": (chat, width - 1, 1, 33)} if chat < width else {})


def test_80x24_is_one_frame_as_in_its_picture() -> None:
    assert {key: rows[2:] for key, rows in placed(80, 24).items()} == {
        "models": (1, 15),
        "detail-rule": (16, 16),
        "detail": (17, 17),
        "activity-rule": (18, 18),
        "activity": (19, 21),
        "bottom": (22, 22),
    }


def test_a_chat_at_120x36_is_as_in_its_picture() -> None:
    chat = PaneNeeds(77, 138, 54, models=14, cards=2, panes=EVERY, chat=True)
    assert placed(120, 36, chat) == {
        "models": (0, 53, 1, 17),
        "activity": (0, 53, 18, 26),
        "memory": (0, 53, 27, 33),
        "chat": (54, 119, 1, 33),
    }
    assert placed(109, 36, chat) == {"chat": (0, 108, 1, 33)}


def test_the_right_column_needs_40_columns_beside_the_table() -> None:
    def needs(table: int) -> PaneNeeds:
        return PaneNeeds(table, 150, 54, models=14, cards=2, panes=EVERY)

    assert "memory" in placed(117, 36, needs(77))
    assert "memory" not in placed(116, 36, needs(77))
    assert placed(120, 36, needs(110))["models"][:2] == (0, 79)
    assert "memory" not in placed(119, 36, needs(110))


def test_without_a_right_column_a_tall_screen_is_one_frame_too() -> None:
    found = placed(100, 60)
    assert set(found) == {"models", "detail-rule", "detail", "activity-rule", "activity", "bottom"}
    assert found["models"][2:] == (1, 15)


@pytest.mark.parametrize(
    ("width", "height", "frame"),
    [(60, 16, Frame.SHARED), (59, 24, Frame.SHARED), (60, 15, Frame.SHARED), (40, 10, Frame.NONE)],
)
def test_a_small_screen_has_the_table_alone(width: int, height: int, frame: Frame) -> None:
    found = pane_regions(Size(width, height - 2), Size(width, height), DEMO)
    assert found.frame is frame
    assert ("activity" in found.panes) == (width >= 60 and height >= 16)
    assert "models" in found.panes


def test_many_models_take_60_percent_of_the_rows() -> None:
    many = PaneNeeds(77, 138, 54, models=500, cards=2, panes=EVERY)
    assert placed(120, 36, many)["models"] == (0, 76, 1, 21)
    assert placed(80, 24, many)["models"][2:] == (1, 15)


def test_panes_leave_by_their_importance() -> None:
    def shown(height: int) -> set[str]:
        return set(placed(200, height))

    tall = shown(60)
    assert tall - shown(44) == {"log", "prompts"}
    assert shown(44) - shown(31) == {"throughput"}
    assert shown(31) - shown(14) == {"memory", "activity"}


def test_many_cards_get_a_row_each() -> None:
    assert memory_rows(0, 33) == 0
    assert memory_rows(1, 33) == 4
    assert memory_rows(2, 33) == 7
    assert memory_rows(4, 33) == 10
    assert memory_rows(8, 33) == 10


def test_each_size_has_a_layout() -> None:
    for width in (40, 60, 80, 109, 117, 140, 250):
        for height in (10, 13, 15, 16, 20, 24, 30, 45, 80):
            for models in (0, 1, 3, 40):
                for chat in (False, True):
                    placed(width, height, PaneNeeds(77, 138, 54, models, 2, EVERY, chat))


COLUMNS = [
    ColumnNeed("id", 41),
    ColumnNeed("state", 12, 6),
    ColumnNeed("context", 4),
    ColumnNeed("memory", 6),
    ColumnNeed("ttl", 4),
    ColumnNeed("rate", 5),
    ColumnNeed("users", 18),
    ColumnNeed("about", 31, 16),
]


def test_columns_leave_in_order_then_the_state_gets_shorter_then_the_id() -> None:
    orders = []
    for room in range(140, 10, -1):
        found = fit_columns(COLUMNS, room)
        assert sum(found.values()) + len(found) - 1 <= room
        orders.append((tuple(found)[1:], found["state"], found["id"] == 41))
    every = ("state", "context", "memory", "ttl", "rate", "users", "about")
    steps = [(every, 12, True), (every[:-1], 12, True), (every[:-2], 12, True)]
    steps += [(every[:4], 12, True), (every[:3], 12, True), (("state", "memory"), 12, True)]
    steps += [(("state",), 12, True), (("state",), 6, True), (("state",), 6, False)]
    assert list(dict.fromkeys(orders)) == steps


def test_the_last_column_gives_up_cells_before_it_leaves() -> None:
    assert fit_columns(COLUMNS, 128)["about"] == 31
    assert fit_columns(COLUMNS, 115)["about"] == 18
    assert "about" not in fit_columns(COLUMNS, 112)


def test_a_very_long_id_gets_shorter_before_figures_leave() -> None:
    long_ids = [ColumnNeed("id", 54), *COLUMNS[1:]]
    assert fit_columns(long_ids, 84)["id"] == 54
    found = fit_columns(long_ids, 76)
    assert found["id"] == 46
    assert set(found) == {"id", "state", "context", "memory", "ttl"}
    assert "ttl" not in fit_columns(long_ids, 69)


@pytest.mark.parametrize(
    ("model_id", "width", "short"),
    [
        ("Qwen3-Coder-30B-A3B-Instruct-UD-Q6_K_XL", 39, "Qwen3-Coder-30B-A3B-Instruct-UD-Q6_K_XL"),
        ("Qwen3-Coder-30B-A3B-Instruct-UD-Q6_K_XL", 29, "Qwen3-Coder-30B-…-UD-Q6_K_XL"),
        ("Qwen3-Coder-30B-A3B-Instruct-UD-Q6_K_XL", 24, "Qwen3-Coder-…-UD-Q6_K_XL"),
        ("Qwen_Qwen3.6-35B-A3B-Q8_0", 19, "Qwen_Qwen3.6-…-Q8_0"),
        ("Qwen_Qwen3.6-35B-A3B-Q8_0", 18, "Qwen3.6-35B-…-Q8_0"),
        ("Llama-3_3-Nemotron-Super-49B-v1_5-Q4_K_M", 29, "Llama-3_3-Nemotron-…-Q4_K_M"),
        ("bartowski_Meta-Llama-4-GGUF_Q4_K_M", 24, "bartowski_Meta-…_Q4_K_M"),
        ("author/团队/非常长的模型名称用于测试列宽-Q8_0", 24, "author/团队/…-Q8_0"),
        ("hidden-embed-with-a-long-name", 20, "hidden-embed-…-name"),
        ("onlyonewordthatislong", 12, "onlyoneword…"),
        ("gpt-oss-120b-mxfp4", 1, "…"),
    ],
)
def test_ids_lose_words_from_their_middle(model_id: str, width: int, short: str) -> None:
    assert shorten_id(model_id, width) == short
