"""A write in which every call fails once, in every way: the file stays whole, the journal true."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aitui.errors import AituiError, ConfigChangedMeanwhile, ConfigWriteUncertain
from aitui.host.base import Host, digest_of
from aitui.host.config_file import FileVersion, WriteResult
from aitui.host.config_lock import UNFINISHED_SECONDS
from aitui.store.journal import ChangeOutcome, Journal, JournalEntry
from host.faults import LASTING, Fault, FaultyHost
from host.writing import ENDED, FOREIGN, NEW, OLD, config_on, lock_of, names_in

LOCK = ("create",)
COMPARE = ("resolve", "facts", "read")
BACK_UP = ("facts", "create", "rename")
WRITE = ("create",)
COMPARE_AGAIN = ("read", *COMPARE)
REPLACE = ("rename",)
VERIFY = ("read",)
TIDY = ("read", "remove", "list")
GOOD_RUN = (
    *(*LOCK, *COMPARE, *BACK_UP, *WRITE, *COMPARE_AGAIN),
    *(*REPLACE, *VERIFY, *TIDY),
)
REPLACING = GOOD_RUN.index("rename", len(LOCK + COMPARE + BACK_UP))
VERIFYING = REPLACING + 1


@dataclass
class Tried:
    """What came of a write with a fault at one of its calls."""

    path: Path
    at: int
    calls: tuple[str, ...]
    change: JournalEntry
    written: WriteResult | None = None
    error: AituiError | None = None

    @property
    def text(self) -> bytes:
        """What stands in the file."""
        return self.path.read_bytes()

    @property
    def others(self) -> set[str]:
        """What stands beside it, but for backups."""
        return {
            name
            for name in names_in(self.path.parent) - {self.path.name}
            if not name.endswith(".aitui")
        }

    @property
    def backups(self) -> set[str]:
        """The backups beside it."""
        return {name for name in names_in(self.path.parent) if name.endswith(".aitui")}


async def try_once(host: Host, folder: Path, fault: Fault, at: int) -> Tried:
    """Write as the commands do, written down before and after, with a fault at one call."""
    path = folder / f"call {at}" / "config.yaml"
    path.parent.mkdir()
    path.write_bytes(OLD)
    journal = Journal.open(folder / "state" / "journal")
    reading = await config_on(host, path).read()
    change = JournalEntry(
        id=f"change {at}",
        at=0.0,
        server="server",
        host=host.label,
        path=str(path),
        before=reading.digest,
        after=digest_of(NEW),
    )
    faulty = FaultyHost(host, fault, at, changes=path)
    written: WriteResult | None = None
    caught: AituiError | None = None
    await journal.begin(change)
    try:
        written = await config_on(faulty, path, ENDED).write(reading, NEW)
    except ConfigWriteUncertain as error:
        caught = error
    except AituiError as error:
        caught = error
        await journal.end(change.id, ChangeOutcome.FAILED)
    else:
        await journal.end(change.id, ChangeOutcome.DONE, backup=written.backup)
    (change,) = [entry for entry in await journal.entries() if entry.id == change.id]
    return Tried(path, at, tuple(faulty.calls), change, written, caught)


async def try_every_call(host: Host, folder: Path, fault: Fault) -> list[Tried]:
    """The same for each call of a good run."""
    tried = [await try_once(host, folder, fault, at) for at in range(len(GOOD_RUN))]
    assert all(len(each.calls) > each.at for each in tried)
    return tried


Trials = Callable[[Fault], Awaitable[list[Tried]]]


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, Fault], list[Tried]]:
    """What was tried already, to be looked at by several tests."""
    return {}


@pytest.fixture
def trials(
    host: Host,
    kept: dict[tuple[str, Fault], list[Tried]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trials:
    """Tries a fault at every call, once for all tests; they only look."""

    async def trial(fault: Fault) -> list[Tried]:
        key = (type(host).__name__, fault)
        if key not in kept:
            kept[key] = await try_every_call(host, tmp_path_factory.mktemp("tried"), fault)
        return kept[key]

    return trial


FAULTS = pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.CHANGED])
SURVIVED = pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault not in LASTING and fault is not Fault.CHANGED]
)
LOST = pytest.mark.parametrize("fault", [fault for fault in Fault if fault in LASTING])


async def test_the_calls_of_a_good_run_are_those_that_fail_here(host: Host, folder: Path) -> None:
    tried = await try_once(host, folder, Fault.DENIED, at=-1)
    assert tried.calls == GOOD_RUN
    assert tried.change.outcome is ChangeOutcome.DONE


@FAULTS
async def test_the_file_is_whole(trials: Trials, fault: Fault) -> None:
    for tried in await trials(fault):
        assert tried.text in {OLD, NEW}, tried


@FAULTS
async def test_an_error_means_the_old_file_and_none_the_new_one(
    trials: Trials, fault: Fault
) -> None:
    for tried in await trials(fault):
        if tried.written is not None:
            assert tried.text == NEW, tried
        elif not isinstance(tried.error, ConfigWriteUncertain):
            assert tried.text == OLD, tried


@FAULTS
async def test_only_a_connection_lost_while_replacing_leaves_it_uncertain(
    trials: Trials, fault: Fault
) -> None:
    uncertain = [
        tried.at for tried in await trials(fault) if isinstance(tried.error, ConfigWriteUncertain)
    ]
    assert uncertain == ([REPLACING] if fault in LASTING else [])


@FAULTS
async def test_the_message_names_the_step(trials: Trials, fault: Fault) -> None:
    steps = (
        *["locking the file"] * len(LOCK),
        *["checking for other changes"] * len(COMPARE),
        *["making a backup"] * len(BACK_UP),
        *["writing a temporary file"] * len(WRITE),
        *["checking for other changes again"] * len(COMPARE_AGAIN),
        *["replacing the file"] * len(REPLACE),
        *["reading it back"] * len(VERIFY),
        *["cleaning up"] * len(TIDY),
    )
    for tried in await trials(fault):
        if tried.error is not None:
            assert f"(while {steps[tried.at]})" in str(tried.error), tried
        elif tried.at > REPLACING:
            assert tried.written is not None
            assert any(steps[tried.at] in words for words in tried.written.warnings), tried


@FAULTS
async def test_the_journal_is_true(trials: Trials, fault: Fault) -> None:
    for tried in await trials(fault):
        expected = {OLD: ChangeOutcome.FAILED, NEW: ChangeOutcome.DONE}[tried.text]
        if isinstance(tried.error, ConfigWriteUncertain):
            expected = ChangeOutcome.OPEN
        assert tried.change.outcome is expected, tried
        if expected is ChangeOutcome.DONE:
            assert Path(tried.change.backup).read_bytes() == OLD


@SURVIVED
async def test_nothing_is_left_over_where_the_connection_stands(
    trials: Trials, fault: Fault
) -> None:
    for tried in await trials(fault):
        assert len(tried.backups) == (1 if tried.written else 0), tried
        if tried.others:
            # The one call that gives the lock back is the one that failed.
            assert tried.others == {lock_of(tried.path).name}
            assert tried.written is not None
            assert tried.written.warnings


@LOST
async def test_the_next_start_says_which_file_is_whole_and_clears_the_rest_away(
    host: Host, folder: Path, fault: Fault
) -> None:
    for tried in await try_every_call(host, folder, fault):
        lock = lock_of(tried.path)
        if lock.exists() and not lock.read_bytes().endswith(b"}"):
            # Nobody can tell whose half a lock is: time has to pass.
            modified = lock.stat().st_mtime - UNFINISHED_SECONDS - 60
            os.utime(lock, (modified, modified))
        file = config_on(host, tried.path)
        recovered = await file.recover(tried.change.before, tried.change.after)
        assert recovered.state is {OLD: FileVersion.OLD, NEW: FileVersion.NEW}[tried.text], tried
        assert tried.others == set(), tried
        assert all((tried.path.parent / name).read_bytes() == OLD for name in tried.backups), tried


async def test_what_somebody_else_writes_meanwhile_is_never_lost_but_in_one_moment(
    host: Host, folder: Path
) -> None:
    for tried in await try_every_call(host, folder, Fault.CHANGED):
        if tried.at < REPLACING:
            assert isinstance(tried.error, ConfigChangedMeanwhile), tried
            assert tried.text == FOREIGN, tried
            assert not tried.others | tried.backups, tried
        elif tried.at == REPLACING:  # the window that the class tells of
            assert tried.text == NEW, tried
        else:
            assert tried.text == FOREIGN, tried
            assert tried.written is not None
            assert tried.written.changed_after is (tried.at == VERIFYING), tried
