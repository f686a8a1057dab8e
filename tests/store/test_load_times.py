"""Load times: expected from the last ones, kept in one file that several processes share."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aitui.store.files import lock_file
from aitui.store.load_times import FILE_NAME, MODELS_KEPT, LoadTimes

HOME, LAB = "home", "https://lab.example.org"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / FILE_NAME


async def recorded(file: Path, *seconds: float, model: str = "m") -> LoadTimes:
    times = await LoadTimes.open(file)
    for value in seconds:
        await times.record(HOME, model, value)
    return times


async def test_nothing_recorded_expects_nothing(file: Path) -> None:
    times = await LoadTimes.open(file)
    assert times.expected(HOME, "m") == {}
    assert times.warnings == ()
    assert not file.parent.exists()


async def test_the_median_forgives_one_slow_load(file: Path) -> None:
    times = await recorded(file, 10, 11, 300)
    assert times.expected(HOME, "m")[0] == 11


async def test_only_the_last_five_count(file: Path) -> None:
    times = await recorded(file, 100, 100, 100, 100, 1, 2, 3, 4, 5)
    assert times.expected(HOME, "m")[0] == 3


async def test_a_time_counts_for_its_context_size_alone(file: Path) -> None:
    times = await LoadTimes.open(file)
    for seconds, tokens in ((10, 32_768), (11, 32_768), (60, 262_144), (12, 32_768)):
        await times.record(HOME, "m", seconds, tokens)
    assert (await LoadTimes.open(file)).expected(HOME, "m") == {0: 11.5, 32_768: 11, 262_144: 60}


async def test_servers_are_told_apart(file: Path) -> None:
    times = await recorded(file, 10)
    assert times.expected(LAB, "m") == {}


async def test_the_next_start_knows_them(file: Path) -> None:
    await recorded(file, 10, model="größe/ä b%")
    again = await LoadTimes.open(file)
    assert again.expected(HOME, "größe/ä b%")[0] == 10


async def test_nobody_else_reads_them(file: Path) -> None:
    await recorded(file, 10)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_two_at_once_keep_the_values_of_both(file: Path) -> None:
    one, other = await LoadTimes.open(file), await LoadTimes.open(file)
    await asyncio.gather(
        *(
            times.record(HOME, f"{name}{n}", n)
            for n in range(10)
            for name, times in (("a", one), ("b", other))
        )
    )
    again = await LoadTimes.open(file)
    assert all(again.expected(HOME, f"{name}{n}")[0] == n for n in range(10) for name in "ab")


def test_two_processes_keep_the_values_of_both(file: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from aitui.store.load_times import LoadTimes
async def main():
    times = await LoadTimes.open(Path(sys.argv[1]))
    for n in range(20):
        await times.record("home", sys.argv[2] + str(n), n)
    assert times.warnings == ()
asyncio.run(main())
"""
    running = [subprocess.Popen([sys.executable, "-c", program, str(file), name]) for name in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    again = asyncio.run(LoadTimes.open(file))
    assert all(again.expected(HOME, f"{name}{n}")[0] == n for n in range(20) for name in "ab")


async def test_no_temporary_file_stays(file: Path) -> None:
    await recorded(file, 1, 2, 3)
    assert {path.name for path in file.parent.iterdir()} == {FILE_NAME, f"{FILE_NAME}.lock"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"version":"1"}',
        b'{"version":1,"servers":{"a":[1]}}',
        b'{"version":1,"servers":{"a":{"b":[-1]}}}',
        b'{"version":1,"servers":{"a":{"b":[1e999]}}}',
        b"[" * 100_000,
    ],
)
async def test_a_broken_file_is_set_aside_and_told(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    times = await LoadTimes.open(file)
    (warning,) = times.warnings
    assert f"{FILE_NAME}.broken" in warning
    assert file.with_name(f"{FILE_NAME}.broken").read_bytes() == content
    await times.record(HOME, "m", 5)
    assert (await LoadTimes.open(file)).expected(HOME, "m")[0] == 5


async def test_a_second_broken_file_does_not_replace_the_first(file: Path) -> None:
    file.parent.mkdir()
    for content in (b"first", b"second"):
        file.write_bytes(content)
        await LoadTimes.open(file)
    assert file.with_name(f"{FILE_NAME}.broken").read_bytes() == b"first"
    assert file.with_name(f"{FILE_NAME}.broken-2").read_bytes() == b"second"


async def test_a_file_that_breaks_later_is_set_aside_as_well(file: Path) -> None:
    times = await recorded(file, 1)
    file.write_bytes(b"{")
    await times.record(HOME, "m", 3)
    assert times.expected(HOME, "m")[0] == 3
    assert len(times.warnings) == 1


async def test_a_directory_in_its_place_is_set_aside(file: Path) -> None:
    file.mkdir(parents=True)
    times = await recorded(file, 5)
    assert len(times.warnings) == 1
    assert file.is_file()


async def test_a_file_of_a_newer_aitui_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    content = b'{"version":3,"servers":[]}'
    file.write_bytes(content)
    times = await recorded(file, 5)
    assert file.read_bytes() == content
    assert times.expected(HOME, "m")[0] == 5
    assert "newer aitui" in times.warnings[0]


async def test_where_nothing_can_be_written_memory_goes_on_and_says_so_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").write_text("a file where the directory would be")
    times = await recorded(tmp_path / "state" / FILE_NAME, 5, 6, 7)
    assert times.expected(HOME, "m")[0] == 6
    assert len(times.warnings) == 1


async def test_a_full_disk_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    times = await recorded(file, 5)
    before = file.read_bytes()
    monkeypatch.setattr("aitui.store.files.os.fsync", no_space)
    await times.record(HOME, "m", 7)
    assert file.read_bytes() == before
    assert times.expected(HOME, "m")[0] == 6
    assert "No space left on device" in times.warnings[0]
    assert len(list(file.parent.iterdir())) == 2


async def test_what_could_not_be_written_goes_out_with_the_next_value(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = await recorded(file, 5)
    with monkeypatch.context() as patched, lock_file(file):
        patched.setattr("aitui.store.json_store.lock_file", partial(lock_file, patience=0))
        await times.record(HOME, "n", 7)
    await times.record(HOME, "m", 5)
    assert (await LoadTimes.open(file)).expected(HOME, "n")[0] == 7


def test_a_lock_that_another_keeps_is_given_up_on(file: Path) -> None:
    file.parent.mkdir()
    with lock_file(file), pytest.raises(TimeoutError), lock_file(file, patience=0):
        pass


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
async def test_what_is_in_the_place_of_the_lock_is_a_warning(
    file: Path, make: Callable[[Path], None]
) -> None:
    file.parent.mkdir()
    make(file.with_name(f"{FILE_NAME}.lock"))
    times = await recorded(file, 5, 6)
    assert times.expected(HOME, "m")[0] == 5.5
    (warning,) = times.warnings
    assert f"{FILE_NAME}.lock is not a regular file" in warning


def test_a_lock_ends_with_its_process(file: Path) -> None:
    file.parent.mkdir()
    program = """
import sys
from pathlib import Path
from aitui.store.json_store import lock_file
with lock_file(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(TimeoutError), lock_file(file, patience=0):
            pass
        holder.kill()
        with lock_file(file, patience=20):
            pass


def saved(file: Path) -> dict[str, list[object]]:
    """The models of HOME as the file has them."""
    models: dict[str, list[object]] = json.loads(file.read_bytes())["servers"][HOME]
    return models


def save(file: Path, models: dict[str, list[float]]) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"version": 1, "servers": {HOME: models}}))


async def test_the_models_least_recently_loaded_go_first(file: Path) -> None:
    save(file, {str(n): [1.0] for n in range(MODELS_KEPT)})
    times = await recorded(file, 2.0, model="0")
    await times.record(HOME, "new", 3.0)
    models = saved(file)
    assert len(models) == MODELS_KEPT
    assert models["0"] == [1.0, [0, 2.0]]
    assert "1" not in models


async def test_a_file_that_was_made_larger_by_hand_is_bounded(file: Path) -> None:
    save(file, {"m": [9.0] * 9 + [1.0] * 3})
    times = await LoadTimes.open(file)
    assert times.expected(HOME, "m")[0] == 1.0
    await times.record(HOME, "m", 1.0)
    assert saved(file) == {"m": [9.0, 1.0, 1.0, 1.0, [0, 1.0]]}


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_what_is_no_duration_is_refused(file: Path, seconds: float) -> None:
    times = await LoadTimes.open(file)
    with pytest.raises(ValueError, match="can't take"):
        await times.record(HOME, "m", seconds)


async def test_a_name_that_cannot_be_written_is_refused(file: Path) -> None:
    times = await LoadTimes.open(file)
    with pytest.raises(UnicodeEncodeError):
        await times.record(HOME, "\ud800", 1)
    await times.record(HOME, "m", 1)
    assert times.warnings == ()
