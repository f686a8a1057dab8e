"""Measurements on disk: kept, shared by processes, never overwritten where they can't be read."""

import asyncio
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.memory.measurement import Measurement, MemoryRecord, OutOfMemory, UsualRate
from aitui.store.measurements import FILE_NAME, Measurements

HOME, LAB = "home", "https://lab.example.org"
GIB = 1 << 30
SEEN = Measurement(32_768, 41 * GIB, GIB, 37 * GIB, 3 * GIB, GIB, "a1b2", 1_700_000_000.5)
ON_TWO_CARDS = replace(SEEN, cards=(("GPU-1", 30 * GIB), ("GPU-2", 11 * GIB)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / FILE_NAME


async def test_nothing_seen_is_nothing_known(file: Path) -> None:
    kept = await Measurements.open(file)
    assert kept.of_model(HOME, "m").measurements == ()
    assert kept.warnings == ()
    assert not file.parent.exists()


async def test_the_next_start_knows_everything(file: Path) -> None:
    kept = await Measurements.open(file)
    await kept.record(HOME, "größe/ä b%", SEEN)
    await kept.record(HOME, "größe/ä b%", OutOfMemory(65_536, "a1b2", 5.0))
    await kept.record(HOME, "größe/ä b%", UsualRate(32_768, 48.5, "a1b2", 6.0))
    again = (await Measurements.open(file)).of_model(HOME, "größe/ä b%")
    assert again.measurements == (SEEN,)
    assert again.rates == (UsualRate(32_768, 48.5, "a1b2", 6.0),)
    assert again.failures == (OutOfMemory(65_536, "a1b2", 5.0),)


async def test_the_cards_are_kept_apart(file: Path) -> None:
    kept = await Measurements.open(file)
    await kept.record(HOME, "m", ON_TWO_CARDS)
    again = (await Measurements.open(file)).of_model(HOME, "m")
    assert again.measurements == (ON_TWO_CARDS,)
    assert again.last_cards("a1b2") == {"GPU-1", "GPU-2"}
    assert again.last_cards("another") == frozenset()


async def test_servers_are_told_apart(file: Path) -> None:
    kept = await Measurements.open(file)
    await kept.record(HOME, "m", SEEN)
    assert kept.of_model(LAB, "m").measurements == ()


async def test_nobody_else_reads_them(file: Path) -> None:
    kept = await Measurements.open(file)
    await kept.record(HOME, "m", SEEN)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_two_that_write_lose_nothing(file: Path) -> None:
    both = [await Measurements.open(file), await Measurements.open(file)]
    await asyncio.gather(
        *(kept.record(HOME, f"m{number}", SEEN) for number, kept in enumerate(both * 5))
    )
    again = await Measurements.open(file)
    assert all(again.of_model(HOME, f"m{number}").measurements for number in range(10))


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"[]", b'{"version": 1, "servers": {"a": 3}}', b"\xff\xfe", b"[" * 9999],
)
async def test_a_broken_file_is_set_aside(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    kept = await Measurements.open(file)
    await kept.record(HOME, "m", SEEN)
    assert file.with_name(f"{FILE_NAME}.broken").read_bytes() == content
    assert len(kept.warnings) == 1
    assert (await Measurements.open(file)).of_model(HOME, "m").measurements == (SEEN,)


async def test_missing_and_unknown_fields_lose_nothing(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(
        b'{"version":1,"servers":{"home":{"m":{"measurements":'
        b'[{"context_size":1,"gpu":2,"later":true}],"more":[]}}},"other":1}'
    )
    kept = await Measurements.open(file)
    assert kept.warnings == ()
    assert kept.of_model(HOME, "m").measurements == (Measurement(1, 2),)


async def test_a_file_of_a_newer_aitui_is_left_alone(file: Path) -> None:
    content = b'{"version": 2, "servers": {}}'
    file.parent.mkdir()
    file.write_bytes(content)
    kept = await Measurements.open(file)
    await kept.record(HOME, "m", SEEN)
    assert file.read_bytes() == content
    assert kept.of_model(HOME, "m").measurements == (SEEN,)
    assert "newer" in kept.warnings[0]


async def test_what_cannot_be_written_is_remembered_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    kept = await Measurements.open(tmp_path / "state" / FILE_NAME)
    await kept.record(HOME, "m", SEEN)
    assert kept.of_model(HOME, "m").measurements == (SEEN,)
    assert kept.warnings


@pytest.mark.parametrize(
    "absurd",
    [
        Measurement(0, 1),
        Measurement(1, -1),
        OutOfMemory(-5),
        Measurement(1, 1, 2**60),
        UsualRate(1, -1.0),
    ],
)
async def test_absurd_figures_are_refused(file: Path, absurd: MemoryRecord) -> None:
    kept = await Measurements.open(file)
    with pytest.raises(ValueError, match="Expected"):
        await kept.record(HOME, "m", absurd)
    assert not file.exists()
