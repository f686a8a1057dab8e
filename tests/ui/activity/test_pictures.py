"""View 3 as pictures: much, little and no data."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from aitui.domain.activity import ActivityRow
from aitui.domain.release import ServerRelease
from aitui.domain.snapshot import Snapshot
from aitui.services.monitor import ACTIVITY_PAGES_SINCE
from ui.activity.recorded import FEW, many, show_record
from ui.driven import opened
from ui.hand_made import SERVER, STILL, live
from ui.mixture import MIXTURE
from ui.test_pictures import LARGE, MIDDLE, SMALL, Compare, words_of

SNAPSHOT = live(*MIXTURE)
SMALLEST = (40, 10)
Look = Callable[..., bool]


@pytest.fixture
def looks(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Look:
    """Compares the view of a record with its picture."""
    monkeypatch.setenv("TZ", "UTC")

    def compare(
        size: tuple[int, int],
        *keys: str,
        rows: Iterable[ActivityRow] = FEW,
        snapshot: Snapshot = SNAPSHOT,
    ) -> bool:
        async def run_before(pilot: Pilot[None]) -> None:
            await pilot.pause()
            await pilot.press("3", *keys)
            # What is read comes from threads.
            for _ in range(20):
                await pilot.pause(0.05)

        show_record(monkeypatch, snapshot, tmp_path, rows)
        app = opened(SERVER, tmp_path, clock=STILL)
        return snap_compare(app, terminal_size=size, run_before=run_before)

    return compare


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=words_of)
def test_many_requests(looks: Look, size: tuple[int, int]) -> None:
    assert looks(size, rows=(*many(300), *FEW))


def test_few_requests(looks: Look) -> None:
    assert looks(MIDDLE)


def test_no_requests(looks: Look) -> None:
    assert looks(SMALL, rows=())


def test_a_server_without_the_list_of_requests(looks: Look) -> None:
    old = msgspec.structs.replace(SNAPSHOT, release=ServerRelease(end=ACTIVITY_PAGES_SINCE))
    assert looks(MIDDLE, rows=(), snapshot=old)


@pytest.mark.parametrize("keys", ["", "b", "v"], ids=["requests", "groups", "timeline"])
def test_the_smallest_terminal(looks: Look, keys: str) -> None:
    assert looks(SMALLEST, *keys)


@pytest.mark.parametrize("keys", ["b", "v"])
def test_groups_and_timeline(looks: Look, keys: str) -> None:
    assert looks(MIDDLE, keys)
