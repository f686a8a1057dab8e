"""The journal of changes: written before and after, and what of it survives."""

import asyncio
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aitui.errors import JournalError
from aitui.store.journal import CHANGES_KEPT, ChangeOutcome, Journal, JournalEntry

FIRST = JournalEntry(
    id="1",
    at=1000.5,
    server="home",
    host="me@box",
    path="~/config.yaml",
    before="aa",
    after="bb",
    model="m",
    flag="--ctx-size",
    old="4096",
    new="8192",
)
SECOND = replace(FIRST, id="2", old="8192", new="16384", before="bb", after="cc")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "changes.jsonl"


@pytest.fixture
def journal(path: Path) -> Journal:
    return Journal.open(path)


async def done(journal: Journal, change: JournalEntry) -> None:
    await journal.begin(change)
    await journal.end(change.id, ChangeOutcome.DONE, backup=f"/backup of {change.id}")


async def open_changes(journal: Journal) -> tuple[JournalEntry, ...]:
    changes = await journal.changes_of("home")
    return tuple(change for change in changes if change.outcome is ChangeOutcome.OPEN)


async def test_a_journal_begins_empty(journal: Journal, path: Path) -> None:
    assert await journal.entries() == ()
    assert not path.parent.exists()


async def test_what_is_begun_is_open_until_it_ends(journal: Journal) -> None:
    await journal.begin(FIRST)
    assert await journal.entries() == (FIRST,)
    assert await open_changes(journal) == (FIRST,)


async def test_what_has_ended_keeps_its_outcome_and_its_backup(
    journal: Journal, path: Path
) -> None:
    await done(journal, FIRST)
    expected = replace(FIRST, outcome=ChangeOutcome.DONE, backup="/backup of 1")
    assert await Journal.open(path).entries() == (expected,)
    assert await open_changes(journal) == ()


async def test_the_latest_change_is_the_one_to_undo(journal: Journal) -> None:
    await done(journal, FIRST)
    await done(journal, SECOND)
    undoable = await journal.last_undoable("home")
    assert undoable is not None
    assert undoable.id == "2"


async def test_what_failed_is_not_to_be_undone(journal: Journal) -> None:
    await done(journal, FIRST)
    await journal.begin(SECOND)
    await journal.end("2", ChangeOutcome.FAILED)
    undoable = await journal.last_undoable("home")
    assert undoable is not None
    assert undoable.id == "1"


async def test_what_another_server_changed_is_not_undone_here(journal: Journal) -> None:
    await done(journal, FIRST)
    assert await journal.last_undoable("work") is None


async def test_an_undo_that_was_done_leaves_the_change_before_to_be_undone(
    journal: Journal,
) -> None:
    await done(journal, FIRST)
    await done(journal, SECOND)
    await done(journal, replace(SECOND, id="3", undoes="2", before="cc", after="bb"))
    assert [entry.outcome for entry in await journal.entries()] == [
        ChangeOutcome.DONE,
        ChangeOutcome.UNDONE,
        ChangeOutcome.DONE,
    ]
    undoable = await journal.last_undoable("home")
    assert undoable is not None
    assert undoable.id == "1"


async def test_an_undo_that_failed_undid_nothing(journal: Journal) -> None:
    await done(journal, FIRST)
    await journal.begin(replace(FIRST, id="2", undoes="1"))
    await journal.end("2", ChangeOutcome.FAILED)
    undoable = await journal.last_undoable("home")
    assert undoable is not None
    assert undoable.id == "1"


async def test_nobody_else_reads_the_journal(journal: Journal, path: Path) -> None:
    await journal.begin(FIRST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@given(st.binary(max_size=300).filter(lambda line: b'"id"' not in line and b'"ended"' not in line))
def test_a_broken_line_loses_only_itself(
    tmp_path_factory: pytest.TempPathFactory, line: bytes
) -> None:
    async def broken() -> None:
        path = tmp_path_factory.mktemp("journal") / "journal"
        await done(Journal.open(path), FIRST)
        with path.open("ab") as file:
            file.write(line)
        await done(Journal.open(path), SECOND)
        assert [entry.id for entry in await Journal.open(path).entries()] == ["1", "2"]

    asyncio.run(broken())


async def test_a_line_that_a_crash_cut_off_does_not_swallow_the_next(
    journal: Journal, path: Path
) -> None:
    await journal.begin(FIRST)
    path.write_bytes(path.read_bytes()[:-20])
    await journal.begin(SECOND)
    assert [entry.id for entry in await journal.entries()] == ["2"]


async def test_the_journal_keeps_the_last_changes(journal: Journal, path: Path) -> None:
    await done(journal, FIRST)
    lines = path.read_bytes()
    path.write_bytes(
        b"".join(lines.replace(b'"1"', b'"%d"' % number) for number in range(5 * CHANGES_KEPT))
    )
    await done(journal, replace(FIRST, id="last"))
    entries = await journal.entries()
    assert len(entries) == CHANGES_KEPT + 1
    assert [entry.id for entry in entries[-2:]] == [str(5 * CHANGES_KEPT - 1), "last"]
    assert all(entry.outcome is ChangeOutcome.DONE for entry in entries)
    assert path.stat().st_size < len(lines) * (CHANGES_KEPT + 2)


async def test_several_write_at_once(path: Path) -> None:
    await asyncio.gather(
        *(done(Journal.open(path), replace(FIRST, id=str(number))) for number in range(20))
    )
    entries = await Journal.open(path).entries()
    assert {entry.id for entry in entries} == {str(number) for number in range(20)}
    assert all(entry.outcome is ChangeOutcome.DONE for entry in entries)


async def test_what_is_shown_is_harmless(journal: Journal) -> None:
    await journal.begin(replace(FIRST, model="\x1b[31mred\n", new="a\x07b"))
    (entry,) = await journal.entries()
    assert (entry.model, entry.new) == ("red", "a\N{REPLACEMENT CHARACTER}b")


async def test_a_journal_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(JournalError, match="can't be used"):
        await Journal.open(tmp_path / "state" / "journal").begin(FIRST)
