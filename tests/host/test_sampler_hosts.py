"""What is asked of a host, asked directly and over SSH."""

import os
import time
from pathlib import Path

import pytest

from aitui.errors import ModelFileUnreadable, NoSuchFile
from aitui.host.base import Host
from aitui.host.sampler import HostSampler, read_host_info, read_model_header
from domain.memory.files import BIG, dense, written

MIB = 1 << 20
F16 = 1


async def test_a_sample_has_the_machine_and_its_cores(host: Host) -> None:
    sampler = HostSampler(host)
    await sampler.sample()
    found = await sampler.sample([1])
    assert found.whole
    assert found.sample.machine is not None
    assert len(found.sample.machine.cores) == os.cpu_count()
    assert os.getpid() in found.processes


async def test_a_machine_tells_what_it_is(host: Host) -> None:
    found = await read_host_info(host, time.time())
    there = os.uname()
    assert found.kernel == f"{there.sysname} {there.release}"
    assert found.architecture == there.machine
    assert found.threads == os.cpu_count()
    assert found.memory_bytes
    assert found.booted_at is not None
    assert found.booted_at < time.time()


async def test_a_header_is_read_without_the_weights(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "größe model.gguf"
    file.write_bytes(BIG + bytes(4 * MIB))
    header = await read_model_header(host, str(file))
    assert header.layers == 16
    assert header.weights.total / MIB == pytest.approx(394.75, rel=0.001)
    assert header.read_bytes <= 65_536


async def test_a_link_to_a_file_is_followed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BIG)
    (tmp_path / "model.gguf").symlink_to("blob")
    assert (await read_model_header(host, str(tmp_path / "model.gguf"))).layers == 16


@pytest.mark.parametrize("named", ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"])
async def test_a_split_model_is_read_from_all_of_its_files(
    host: Host, tmp_path: Path, named: str
) -> None:
    first = written({**dense(), "split.count": 2}, [("blk.0.a", (64, 64), F16)])
    second = written({"split.count": 2}, [("blk.1.a", (64, 64), F16)])
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(first)
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(second)
    header = await read_model_header(host, str(tmp_path / named))
    assert header.layers == 4
    assert header.weights.total == 2 * 8192


async def test_a_part_that_is_missing_is_named(host: Host, tmp_path: Path) -> None:
    first = written({**dense(), "split.count": 2})
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(first)
    with pytest.raises(NoSuchFile, match="m-00002-of-00002"):
        await read_model_header(host, str(tmp_path / "m-00001-of-00002.gguf"))


async def test_another_kind_of_file_is_named(host: Host, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"PK\x03\x04" + bytes(4096))
    with pytest.raises(ModelFileUnreadable, match=r"header of .*model\.bin"):
        await read_model_header(host, str(tmp_path / "model.bin"))
