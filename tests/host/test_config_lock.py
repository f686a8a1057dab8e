"""Only one aitui at a time writes a config file, on this machine and over SSH."""

import asyncio
import os
from pathlib import Path

import pytest

from aitui.errors import ConfigLocked, ConfigRefused
from aitui.host.base import Host
from aitui.host.config_file import ConfigFile, WriteStep
from aitui.host.config_lock import STALE_SECONDS, UNFINISHED_SECONDS, ConfigLock
from host.faults import Fault, FaultyHost
from host.writing import (
    ENDED,
    FOREIGN,
    LIVING,
    NEW,
    OLD,
    STRANGER,
    config_on,
    lock_of,
    names_in,
    taken_lock,
)


async def test_another_aitui_keeps_it_locked(host: Host, file: ConfigFile, path: Path) -> None:
    await taken_lock(host, path, STRANGER)
    with pytest.raises(ConfigLocked) as caught:
        await file.write(await file.read(), NEW)
    assert caught.value.holder == (
        "someone@another machine, process 4711, since 2026-09-21 14:13:20 UTC"
    )
    assert str(lock_of(path)) in caught.value.remedy
    assert names_in(path.parent) == {"config.yaml", lock_of(path).name}


async def test_a_lock_that_was_given_back_is_free(host: Host, file: ConfigFile, path: Path) -> None:
    lock = await taken_lock(host, path, STRANGER)
    await lock.release()
    assert (await file.write(await file.read(), NEW)).warnings == ()


async def test_a_stale_lock_is_taken_over_and_whose_it_was_is_told(
    host: Host, file: ConfigFile, path: Path
) -> None:
    await taken_lock(host, path, STRANGER)
    modified = lock_of(path).stat().st_mtime - STALE_SECONDS - 60
    os.utime(lock_of(path), (modified, modified))
    written = await file.write(await file.read(), NEW)
    assert len(written.warnings) == 1
    assert "someone@another machine" in written.warnings[0]
    assert path.read_bytes() == NEW
    assert lock_of(path).name not in names_in(path.parent)


async def test_the_lock_of_a_process_that_has_ended_is_taken_over(
    host: Host, file: ConfigFile, path: Path
) -> None:
    await taken_lock(host, path, ENDED)
    written = await file.write(await file.read(), NEW)
    assert "taken over" in written.warnings[0]


async def test_a_lock_that_says_nothing_is_respected(file: ConfigFile, path: Path) -> None:
    lock_of(path).write_bytes(b"\xff garbage")
    with pytest.raises(ConfigLocked, match="an unknown user"):
        await file.write(await file.read(), NEW)


async def test_a_lock_that_was_never_finished_is_taken_over_sooner(
    file: ConfigFile, path: Path
) -> None:
    lock_of(path).write_bytes(b"")
    modified = lock_of(path).stat().st_mtime - UNFINISHED_SECONDS - 60
    os.utime(lock_of(path), (modified, modified))
    written = await file.write(await file.read(), NEW)
    assert "an unknown user" in written.warnings[0]


async def test_who_lost_the_lock_writes_nothing(host: Host, file: ConfigFile, path: Path) -> None:
    def interfere(step: WriteStep) -> None:
        if step is WriteStep.COMPARE_AGAIN:
            lock_of(path).write_bytes(b'{"token":"x"}')

    with pytest.raises(ConfigRefused, match="took over the lock"):
        await file.write(await file.read(), NEW, on_step=interfere)
    assert path.read_bytes() == OLD
    assert names_in(path.parent) == {"config.yaml", lock_of(path).name}


async def test_of_many_writers_each_is_whole_and_the_others_are_told(
    host: Host, path: Path
) -> None:
    readings = [await config_on(host, path).read() for _ in range(6)]
    results = await asyncio.gather(
        *(
            config_on(host, path).write(reading, b"writer %d\n" % number)
            for number, reading in enumerate(readings)
        ),
        return_exceptions=True,
    )
    winners = [number for number, r in enumerate(results) if not isinstance(r, BaseException)]
    assert len(winners) == 1
    assert path.read_bytes() == b"writer %d\n" % winners[0]
    assert all(isinstance(r, ConfigRefused) for r in results if isinstance(r, BaseException))
    assert len(names_in(path.parent)) == 2


async def test_of_many_who_find_a_stale_lock_one_takes_it_over(host: Host, path: Path) -> None:
    await taken_lock(host, path, ENDED)
    results = await asyncio.gather(
        *(taken_lock(host, path, LIVING, f"token {number}") for number in range(6)),
        return_exceptions=True,
    )
    assert len([r for r in results if isinstance(r, ConfigLock)]) == 1
    assert all(isinstance(r, ConfigLock | ConfigLocked) for r in results)
    assert names_in(path.parent) == {"config.yaml", lock_of(path).name}


async def test_a_lock_that_somebody_else_took_over_first_is_theirs(host: Host, path: Path) -> None:
    await taken_lock(host, path, ENDED)
    meanwhile = FaultyHost(host, Fault.CHANGED, at=2, changes=lock_of(path))
    with pytest.raises(ConfigLocked):
        await taken_lock(meanwhile, path, LIVING)
    assert meanwhile.calls[:4] == ["create", "read", "create", "read"]
    assert lock_of(path).read_bytes() == FOREIGN
    assert names_in(path.parent) == {"config.yaml", lock_of(path).name}
