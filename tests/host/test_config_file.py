"""A config file as a transaction, on this machine and over SSH."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitui.errors import (
    ConfigChangedMeanwhile,
    ConfigLocked,
    ConfigRefused,
    FilePermissionDenied,
    HostFileError,
    NoSuchFile,
)
from aitui.host.base import Host, digest_of
from aitui.host.config_file import LARGEST_CONFIG, ConfigFile, FileVersion, WriteStep
from aitui.host.local import LocalHost
from host.writing import (
    ENDED,
    FOREIGN,
    NEW,
    OLD,
    STRANGER,
    config_on,
    names_in,
    taken_lock,
)


async def test_a_reading_is_the_file(file: ConfigFile, path: Path) -> None:
    reading = await file.read()
    assert (reading.content, reading.digest) == (OLD, digest_of(OLD))
    assert reading.real_path == str(path.resolve())


async def test_the_new_text_takes_the_place_of_the_old(file: ConfigFile, path: Path) -> None:
    written = await file.write(await file.read(), NEW)
    assert path.read_bytes() == NEW
    assert (written.verified, written.changed_after, written.warnings) == (True, False, ())
    assert (written.before, written.after) == (digest_of(OLD), digest_of(NEW))


async def test_the_old_text_is_kept_beside_it(file: ConfigFile, path: Path) -> None:
    written = await file.write(await file.read(), NEW)
    assert names_in(path.parent) == {"config.yaml", "config.yaml.20260921T141320Z.aitui"}
    assert Path(written.backup).read_bytes() == OLD


async def test_mode_and_owner_stay(file: ConfigFile, path: Path) -> None:
    if os.getuid() == 0:  # only root may give files to others
        os.chown(path, 12345, 54321)
    before = path.stat()
    written = await file.write(await file.read(), NEW)
    for kept in (path, Path(written.backup)):
        after = kept.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )


async def accept(_path: str) -> None:
    """Find nothing wrong, after a look at it."""
    await asyncio.sleep(0)


async def test_the_steps_are_told_in_their_order(file: ConfigFile) -> None:
    told: list[WriteStep] = []
    await file.write(await file.read(), NEW, on_step=told.append, validate=accept)
    assert told == list(WriteStep)


async def test_a_link_stays_a_link(host: Host, folder: Path) -> None:
    (folder / "real").mkdir()
    target = folder / "real" / "target.yaml"
    target.write_bytes(OLD)
    (folder / "config.yaml").symlink_to("real/target.yaml")
    file = config_on(host, folder / "config.yaml")
    await file.write(await file.read(), NEW)
    assert (folder / "config.yaml").readlink() == Path("real/target.yaml")
    assert target.read_bytes() == NEW
    assert names_in(folder) == {"config.yaml", "real"}


async def test_a_link_that_leads_elsewhere_now_is_noticed(host: Host, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_bytes(OLD)
    (folder / "config.yaml").symlink_to("a")
    file = config_on(host, folder / "config.yaml")
    reading = await file.read()
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").symlink_to("b")
    with pytest.raises(ConfigChangedMeanwhile):
        await file.write(reading, NEW)
    assert names_in(folder) == {"a", "b", "config.yaml"}


async def test_only_the_last_backups_are_kept_and_no_foreign_file_is_touched(
    file: ConfigFile, path: Path
) -> None:
    foreign = {
        "config.yaml.bak",
        "config.yaml.20200101T000000Z",
        "config.yaml.20200101T000000Z.aitui.txt",
        "xconfig.yaml.20200101T000000Z.aitui",
        "config_yaml.20200101T000000Z.aitui",
    }
    for name in foreign:
        path.with_name(name).write_bytes(b"")
    old = [f"config.yaml.202501{day:02}T000000Z.aitui" for day in range(1, 25)]
    for name in old:
        path.with_name(name).write_bytes(b"")
    await file.write(await file.read(), NEW)
    assert names_in(path.parent) == {
        *foreign,
        *old[-19:],
        "config.yaml.20260921T141320Z.aitui",
        "config.yaml",
    }


async def test_the_own_backup_stays_and_those_of_the_future_go_first(
    file: ConfigFile, path: Path
) -> None:
    future = [f"config.yaml.204001{day:02}T000000Z.aitui" for day in range(1, 23)]
    for name in ["config.yaml.20250101T000000Z.aitui", *future]:
        path.with_name(name).write_bytes(b"")

    written = await file.write(await file.read(), NEW)

    assert Path(written.backup).read_bytes() == OLD
    assert names_in(path.parent) == {
        *future[-18:],
        "config.yaml.20250101T000000Z.aitui",
        "config.yaml.20260921T141320Z.aitui",
        "config.yaml",
    }


async def test_backups_of_the_same_second_have_numbers(file: ConfigFile, path: Path) -> None:
    first = await file.write(await file.read(), NEW)
    second = await file.write(await file.read(), OLD)
    assert Path(first.backup).read_bytes() == OLD
    assert Path(second.backup).read_bytes() == NEW


async def test_a_change_of_somebody_else_is_noticed_and_shown(file: ConfigFile, path: Path) -> None:
    reading = await file.read()
    path.write_bytes(OLD.replace(b"the first", b"the best"))
    with pytest.raises(ConfigChangedMeanwhile) as caught:
        await file.write(reading, NEW)
    assert "-  one: # the first" in caught.value.diff
    assert "+  one: # the best" in caught.value.diff
    assert "(while checking for other changes)" in str(caught.value)
    assert b"best" in path.read_bytes()
    assert names_in(path.parent) == {"config.yaml"}


async def test_a_change_while_it_is_written_is_noticed(file: ConfigFile, path: Path) -> None:
    def interfere(step: WriteStep) -> None:
        if step is WriteStep.COMPARE_AGAIN:
            path.write_bytes(FOREIGN)

    with pytest.raises(ConfigChangedMeanwhile, match="checking for other changes again"):
        await file.write(await file.read(), NEW, on_step=interfere)
    assert path.read_bytes() == FOREIGN
    assert names_in(path.parent) == {"config.yaml"}


async def test_a_change_after_it_was_written_is_told(file: ConfigFile, path: Path) -> None:
    def interfere(step: WriteStep) -> None:
        if step is WriteStep.VERIFY:
            path.write_bytes(FOREIGN)

    written = await file.write(await file.read(), NEW, on_step=interfere)
    assert (written.verified, written.changed_after) == (False, True)
    assert "+somebody else's" in written.difference
    assert path.read_bytes() == FOREIGN


async def test_another_mode_is_a_change_as_well(file: ConfigFile, path: Path) -> None:
    reading = await file.read()
    path.chmod(0o600)
    with pytest.raises(ConfigChangedMeanwhile, match="mode"):
        await file.write(reading, NEW)


async def test_a_file_that_is_read_only_stays_as_it_is(file: ConfigFile, path: Path) -> None:
    path.chmod(0o444)
    with pytest.raises(FilePermissionDenied, match="is read-only") as caught:
        await file.write(await file.read(), NEW)
    assert "chmod u+w" in caught.value.remedy
    assert path.read_bytes() == OLD
    assert names_in(path.parent) == {"config.yaml"}


async def test_undo_restores_every_byte(file: ConfigFile, path: Path) -> None:
    written = await file.write(await file.read(), NEW)
    await file.undo(backup=written.backup, before=written.before, after=written.after)
    assert path.read_bytes() == OLD


async def test_what_somebody_changed_since_is_not_undone(file: ConfigFile, path: Path) -> None:
    written = await file.write(await file.read(), NEW)
    path.write_bytes(NEW + b"# mine\n")
    with pytest.raises(ConfigChangedMeanwhile) as caught:
        await file.undo(backup=written.backup, before=written.before, after=written.after)
    assert "+# mine" in caught.value.diff
    assert path.read_bytes() == NEW + b"# mine\n"


async def test_without_its_backup_nothing_is_undone(file: ConfigFile, path: Path) -> None:
    written = await file.write(await file.read(), NEW)
    Path(written.backup).unlink()
    with pytest.raises(ConfigRefused, match="is gone"):
        await file.undo(backup=written.backup, before=written.before, after=written.after)
    assert path.read_bytes() == NEW


async def test_a_backup_that_was_changed_is_not_put_back(file: ConfigFile, path: Path) -> None:
    written = await file.write(await file.read(), NEW)
    Path(written.backup).write_bytes(FOREIGN)
    with pytest.raises(ConfigRefused, match="has changed since"):
        await file.undo(backup=written.backup, before=written.before, after=written.after)
    assert path.read_bytes() == NEW


async def test_a_missing_file_is_named(host: Host, folder: Path) -> None:
    with pytest.raises(NoSuchFile, match=r"config\.yaml"):
        await config_on(host, folder / "config.yaml").read()


async def test_a_folder_is_no_config_file(host: Host, folder: Path) -> None:
    with pytest.raises(HostFileError, match="is not a file but a folder"):
        await config_on(host, folder).read()


async def test_a_file_that_is_too_large_is_not_read(file: ConfigFile, path: Path) -> None:
    path.write_bytes(b"x" * (LARGEST_CONFIG + 1))
    with pytest.raises(HostFileError, match="too large"):
        await file.read()


async def test_a_text_that_is_too_large_is_not_written(file: ConfigFile, path: Path) -> None:
    with pytest.raises(ConfigRefused, match="too large"):
        await file.write(await file.read(), b"x" * (LARGEST_CONFIG + 1))
    assert path.read_bytes() == OLD


async def test_the_largest_file_is_changed(file: ConfigFile, path: Path) -> None:
    path.write_bytes(b"x" * LARGEST_CONFIG)
    await file.write(await file.read(), b"y" * LARGEST_CONFIG)
    assert path.read_bytes() == b"y" * LARGEST_CONFIG


async def test_a_hostile_path_is_only_a_path(host: Host, folder: Path) -> None:
    path = folder / "$(touch harm) 'a\"\nb.yaml"
    path.write_bytes(OLD)
    file = config_on(host, path)
    written = await file.write(await file.read(), NEW)
    assert path.read_bytes() == NEW
    assert Path(written.backup).read_bytes() == OLD
    assert len(names_in(folder)) == 2


@pytest.mark.parametrize("step", [step for step in WriteStep if step is not WriteStep.CHECK])
async def test_a_cancelled_write_leaves_one_file_whole_and_nothing_else(
    file: ConfigFile, path: Path, step: WriteStep
) -> None:
    reading = await file.read()

    def cancel(begun: WriteStep) -> None:
        if begun is step:
            writing.cancel()

    writing = asyncio.create_task(file.write(reading, NEW, on_step=cancel, validate=accept))
    with pytest.raises(asyncio.CancelledError):
        await writing
    replaced = step in {WriteStep.REPLACE, WriteStep.VERIFY, WriteStep.TIDY}
    assert path.read_bytes() == (NEW if replaced else OLD)
    backups = {"config.yaml.20260921T141320Z.aitui"} if replaced else set()
    assert names_in(path.parent) == {"config.yaml", *backups}


async def test_nothing_is_left_over_after_a_write(file: ConfigFile) -> None:
    await file.write(await file.read(), NEW)
    assert await file.leftovers() == ()


async def test_what_a_dead_writer_left_is_cleared_away(
    host: Host, file: ConfigFile, path: Path
) -> None:
    await taken_lock(host, path, ENDED)
    path.with_name(".config.yaml.aitui-0123abcd.tmp").write_bytes(NEW[:10])
    path.with_name(".config.yaml.other.tmp").write_bytes(b"")
    recovered = await file.recover(digest_of(OLD), digest_of(NEW))
    assert recovered.state is FileVersion.OLD
    assert names_in(path.parent) == {"config.yaml", ".config.yaml.other.tmp"}


@pytest.mark.parametrize(
    ("content", "whole"),
    [(OLD, FileVersion.OLD), (NEW, FileVersion.NEW), (FOREIGN, FileVersion.OTHER)],
)
async def test_it_is_told_which_file_is_whole(
    file: ConfigFile, path: Path, content: bytes, whole: FileVersion
) -> None:
    path.write_bytes(content)
    assert (await file.recover(digest_of(OLD), digest_of(NEW))).state is whole


async def test_nothing_is_cleared_away_while_somebody_writes(
    host: Host, file: ConfigFile, path: Path
) -> None:
    await taken_lock(host, path, STRANGER)
    path.with_name(".config.yaml.aitui-0123abcd.tmp").write_bytes(NEW)
    with pytest.raises(ConfigLocked):
        await file.recover(digest_of(OLD), digest_of(NEW))
    assert ".config.yaml.aitui-0123abcd.tmp" in names_in(path.parent)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=st.binary(max_size=200), new=st.binary(max_size=200))
def test_any_bytes_are_written_and_undone(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(old)

    async def there_and_back() -> None:
        file = config_on(LocalHost(tmp_path), path)
        written = await file.write(await file.read(), new)
        assert path.read_bytes() == new
        await file.undo(backup=written.backup, before=written.before, after=written.after)
        assert path.read_bytes() == old

    asyncio.run(there_and_back())
    for made in tmp_path.iterdir():
        made.unlink()
