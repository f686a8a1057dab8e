"""A line about a request, in any width."""

import re

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from aitui.domain.eviction import ClientRequest, EvictionVictim
from aitui.domain.models import ActiveRequest, Model, RunState
from aitui.ui.widgets.request_list import WORD_WIDTH, use_line

REQUEST = ActiveRequest(
    "1",
    "Qwen_Qwen3.6-35B-A3B-Q8_0",
    client="192.168.2.20",
    user_agent="OpenWebUI/0.6",
    started=0.0,
    received_bytes=1_234_567,
)
USING = ClientRequest(REQUEST, Model(REQUEST.model, state=RunState.READY))
VICTIMS = tuple(EvictionVictim(Model(f"victim-{number}-235B-Q4_K_M"), None) for number in range(3))
WAITING = ClientRequest(REQUEST, Model(REQUEST.model), waits=True, evicts=VICTIMS)
NOW = 754.0


def test_with_room_everything_is_said() -> None:
    line = use_line(USING, NOW, 100)
    assert line.startswith(
        "using    192.168.2.20 · OpenWebUI  at Qwen_Qwen3.6-35B-A3B-Q8_0  1.2 MB"
    )


def test_of_many_that_must_go_one_is_named_and_the_others_are_counted() -> None:
    line = use_line(WAITING, NOW, 130)
    assert "evicts ≈ victim-0-235B-Q4_K_M and 2 more" in line
    assert "wants Qwen_Qwen3.6-35B-A3B-Q8_0" in line


def test_a_name_loses_no_more_than_it_must_and_keeps_its_quantisation() -> None:
    line = use_line(USING, NOW, 74)
    assert 72 <= cell_len(line) <= 74
    assert "192.168.2.20 · OpenWebUI" in line
    assert re.search(r"at Qwen\S+…\S*Q8_0  1.2 MB", line)


def test_the_program_alone_stands_for_a_client_where_there_is_no_room() -> None:
    assert use_line(USING, NOW, 64).startswith("using    OpenWebUI  at Qwen_Qwen3.6-35B-…-Q8_0")
    assert "OpenWebUI  at Qwen_…-Q8_0  1.2 MB" in use_line(USING, NOW, 66)


def test_another_aitui_goes_by_its_user_where_there_is_no_room() -> None:
    own = replace(USING, request=replace(REQUEST, user_agent="aitui/0.1 (ada@laptop)"))
    assert use_line(own, NOW, 58).startswith("using    ada@laptop  at Qwen_…-Q8_0")


@given(st.integers(30, 200), st.sampled_from([USING, WAITING]))
def test_a_line_is_made_of_whole_items(width: int, use: ClientRequest) -> None:
    line = use_line(use, NOW, width)
    assert cell_len(line) <= width
    items = [item for item in re.split(r" {2,}", line[WORD_WIDTH:].strip()) if item]
    age, came = use_line(use, NOW, 500).split("  ")[-1], "1.2 MB"
    for item in items:
        beginning = ("192.168.2.20 · OpenWebUI", "OpenWebUI", "at ", "wants ", "evicts ≈ ")
        assert item in {age, came} or item.startswith(beginning), item


@given(st.integers(1, 30))
def test_nothing_is_wider_than_its_place(width: int) -> None:
    line = use_line(USING, NOW, width)
    assert cell_len(line.rstrip()) <= max(width, WORD_WIDTH)
