"""A change whose end nobody saw is settled: the file is named, the journal true, nothing left."""

import asyncio
import os
import time
from pathlib import Path

from msgspec.structs import replace

from aitui.host.base import Host, digest_of
from aitui.host.config_lock import STALE_SECONDS, LockOwner
from aitui.services.config_watch import recover_changes
from aitui.services.host_admin import HostAdmin
from aitui.store.journal import ChangeOutcome, JournalEntry
from e2e.recover.conftest import FLAG, CutOff, administration
from host.faults import Fault, FaultyHost
from host.writing import FOREIGN, NEW, NOON, OLD, lock_of, names_in

WORDS = "The change of one  --ctx-size 4096 → 8192 at "


async def outcome_of(admin: HostAdmin, change: JournalEntry) -> ChangeOutcome:
    (entry,) = [each for each in await admin.journal.entries() if each.id == change.id]
    return entry.outcome


def hidden_beside(config: Path) -> set[str]:
    return {name for name in names_in(config.parent) if name.startswith(".")}


async def test_a_cut_before_the_rename_is_the_old_file(
    admin: HostAdmin, config: Path, cut_off: CutOff
) -> None:
    change = await cut_off(Fault.CUT_BEFORE)
    assert hidden_beside(config)
    (told,) = await recover_changes(admin)
    noon = time.strftime("%H:%M", time.localtime(NOON))
    assert told.startswith(f"{WORDS}{noon} was interrupted: the old file is in place")
    assert "were removed" in told
    assert config.read_bytes() == OLD
    assert not hidden_beside(config)
    assert await outcome_of(admin, change) is ChangeOutcome.FAILED


async def test_a_cut_behind_the_rename_is_the_new_file(
    admin: HostAdmin, config: Path, cut_off: CutOff
) -> None:
    change = await cut_off(Fault.CUT_AFTER)
    (told,) = await recover_changes(admin)
    assert "was interrupted: the new file is in place" in told
    assert config.read_bytes() == NEW
    assert not hidden_beside(config)
    assert await outcome_of(admin, change) is ChangeOutcome.DONE


async def test_what_was_cut_off_and_done_can_be_undone(admin: HostAdmin, cut_off: CutOff) -> None:
    await cut_off(Fault.CUT_AFTER)
    await recover_changes(admin)
    undoable = await admin.journal.last_undoable("box")
    assert undoable is not None
    undone = await admin.config.undo(
        backup=undoable.backup, before=undoable.before, after=undoable.after
    )
    assert undone.after == digest_of(OLD)


async def test_it_is_told_once(admin: HostAdmin, cut_off: CutOff) -> None:
    await cut_off(Fault.CUT_BEFORE)
    assert await recover_changes(admin)
    assert await recover_changes(admin) == ()


async def test_a_file_that_somebody_else_wrote_since_is_named_so(
    admin: HostAdmin, config: Path, cut_off: CutOff
) -> None:
    change = await cut_off(Fault.CUT_BEFORE)
    config.write_bytes(FOREIGN)
    (told,) = await recover_changes(admin)
    assert "a file that another program wrote is in place" in told
    assert config.read_bytes() == FOREIGN
    assert await outcome_of(admin, change) is ChangeOutcome.FAILED


async def test_what_a_later_change_found_there_tells_how_it_ended(
    admin: HostAdmin, config: Path, cut_off: CutOff
) -> None:
    change = await cut_off(Fault.CUT_AFTER)
    again = NEW.replace(b"8192", b"16384")
    later = replace(change, id="later", at=NOON + 30, before=change.after, after=digest_of(again))
    await admin.journal.begin(later)
    config.write_bytes(again)
    await admin.journal.end("later", ChangeOutcome.DONE, backup="/a backup")
    (told,) = await recover_changes(admin)
    assert "the new file was in place, but has changed since" in told
    assert await outcome_of(admin, change) is ChangeOutcome.DONE


async def test_an_undo_that_was_cut_off_behind_the_rename_has_undone_its_change(
    admin: HostAdmin, config: Path
) -> None:
    done = replace(FLAG, id="done", host=admin.host.label, path=str(config))
    await admin.journal.begin(done)
    await admin.journal.end("done", ChangeOutcome.DONE, backup="/a backup")
    await admin.journal.begin(
        replace(done, id="undo", before=done.after, after=done.before, undoes="done")
    )
    (told,) = await recover_changes(admin)
    assert "the new file is in place" in told
    assert await outcome_of(admin, done) is ChangeOutcome.UNDONE


async def test_a_change_younger_than_a_minute_may_be_going_on(
    admin: HostAdmin, config: Path, cut_off: CutOff, tmp_path: Path
) -> None:
    change = await cut_off(Fault.CUT_BEFORE)
    left = hidden_beside(config)
    soon = administration(admin.host, config, tmp_path / "state" / "changes.jsonl", at=NOON + 59.0)
    assert await recover_changes(soon) == ()
    assert hidden_beside(config) == left
    assert await outcome_of(admin, change) is ChangeOutcome.OPEN


async def test_a_young_change_of_an_aitui_that_has_ended_is_settled_at_once(
    admin: HostAdmin, config: Path, tmp_path: Path
) -> None:
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    here = LockOwner.here()
    change = replace(FLAG, path=str(config), host=admin.host.label)
    journal = tmp_path / "state" / "changes.jsonl"
    soon = administration(admin.host, config, journal, at=change.at + 1.0)
    await soon.journal.begin(replace(change, writer=(here.user, here.machine, here.process)))
    assert await recover_changes(soon) == ()
    await soon.journal.begin(replace(change, writer=(here.user, here.machine, ended.pid)))
    (sentence,) = await recover_changes(soon)
    assert "was interrupted" in sentence
    assert await outcome_of(soon, change) is not ChangeOutcome.OPEN


async def test_a_lock_that_somebody_holds_is_a_change_that_goes_on(
    admin: HostAdmin, config: Path, cut_off: CutOff
) -> None:
    change = await cut_off(Fault.CUT_BEFORE)
    content = lock_of(config).read_bytes()
    lock_of(config).write_bytes(content.replace(b'"my machine"', b'"another machine"'))
    left = hidden_beside(config)
    assert await recover_changes(admin) == ()
    assert hidden_beside(config) == left
    assert await outcome_of(admin, change) is ChangeOutcome.OPEN


async def test_read_only_asks_nothing_of_the_host(
    admin: HostAdmin, config: Path, cut_off: CutOff, tmp_path: Path
) -> None:
    change = await cut_off(Fault.CUT_BEFORE)
    traced = FaultyHost(admin.host)
    journal = tmp_path / "state" / "changes.jsonl"
    assert await recover_changes(administration(traced, config, journal, read_only=True)) == ()
    assert traced.calls == []
    assert await outcome_of(admin, change) is ChangeOutcome.OPEN


async def test_nothing_unclear_asks_nothing_of_the_host(
    host: Host, config: Path, tmp_path: Path
) -> None:
    traced = FaultyHost(host)
    assert await recover_changes(administration(traced, config, tmp_path / "journal")) == ()
    assert traced.calls == []


async def test_a_change_on_another_machine_is_left_alone(admin: HostAdmin, config: Path) -> None:
    elsewhere = replace(FLAG, host="somewhere else", path=str(config))
    await admin.journal.begin(elsewhere)
    assert await recover_changes(admin) == ()
    assert await outcome_of(admin, elsewhere) is ChangeOutcome.OPEN


async def test_a_machine_that_isnt_reached_is_told_and_tried_again(
    admin: HostAdmin, config: Path, cut_off: CutOff, tmp_path: Path
) -> None:
    change = await cut_off(Fault.CUT_AFTER)
    lost = FaultyHost(admin.host, Fault.CUT_BEFORE, 0)
    (told,) = await recover_changes(
        administration(lost, config, tmp_path / "state" / "changes.jsonl")
    )
    assert "can't see which file is in place: The connection was lost" in told
    assert await outcome_of(admin, change) is ChangeOutcome.OPEN
    (told,) = await recover_changes(admin)
    assert "the new file is in place" in told


async def test_a_file_that_is_gone_is_told(admin: HostAdmin, config: Path, cut_off: CutOff) -> None:
    await cut_off(Fault.CUT_BEFORE)
    config.unlink()
    (told,) = await recover_changes(admin)
    assert "can't see which file is in place" in told
    assert "No such file" in told


async def test_a_journal_that_cant_be_read_is_told(
    host: Host, config: Path, tmp_path: Path
) -> None:
    (told,) = await recover_changes(administration(host, config, tmp_path))
    assert "The journal of changes" in told


async def test_the_file_of_the_change_is_looked_up_where_the_settings_name_another(
    admin: HostAdmin, config: Path, cut_off: CutOff, tmp_path: Path
) -> None:
    await cut_off(Fault.CUT_AFTER)
    stale = lock_of(config).stat().st_mtime - STALE_SECONDS - 60
    os.utime(lock_of(config), (stale, stale))
    journal = tmp_path / "state" / "changes.jsonl"
    (told,) = await recover_changes(
        administration(admin.host, config.with_name("other.yaml"), journal)
    )
    assert "the new file is in place" in told
