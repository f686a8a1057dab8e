"""Samples of this very machine: processes by port, children included; tools that fail or hang."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aitui.domain.hardware.script import SAMPLE_SCRIPT, sample_command
from aitui.errors import HostError
from aitui.host.local import LocalHost
from aitui.host.sampler import (
    FAILING_PAUSE,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    HostSampler,
    read_host_info,
    sampling_interval,
)
from domain.hardware.recorded_outputs import output

CHILD = "import time; held = b'x' * (64 << 20); print('up', flush=True); time.sleep(60)"
PARENT = f"""
import socket, subprocess, sys, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
subprocess.run([sys.executable, "-c", {CHILD!r}])
"""


@asynccontextmanager
async def running(
    code: str, *arguments: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A program and the first line that it writes, and both lines where it has a child."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode().strip()
        if code is PARENT:
            assert await process.stdout.readline() == b"up\n"
        yield process, first
    finally:
        os.killpg(process.pid, 9)
        await process.wait()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in front of the others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


async def test_a_port_leads_to_its_process_and_the_children_of_that() -> None:
    async with running(PARENT) as (process, port):
        found = await HostSampler(LocalHost()).sample([int(port)])
    held = found.usage_at_port(int(port))
    assert held is not None
    assert process.pid in held.pids
    assert len(held.pids) == 2
    assert held.resident_bytes > 64 << 20
    assert held.gpu_bytes == 0


@pytest.mark.parametrize("arguments", [("--port", "45017"), ("--port=45017",)])
async def test_a_process_that_ss_does_not_show_is_found_by_its_command(
    tools: Path, arguments: Sequence[str]
) -> None:
    put(tools, "ss", "exit 1")
    code = "import time; print('up', flush=True); time.sleep(60)"
    async with running(code, *arguments) as (process, _):
        found = await HostSampler(LocalHost()).sample([45017])
    held = found.usage_at_port(45017)
    assert held is not None
    assert process.pid in held.pids


async def test_a_number_that_is_no_port_leads_nowhere(tools: Path) -> None:
    put(tools, "ss", "exit 1")
    code = "import time; print('up', flush=True); time.sleep(60)"
    async with running(code, "--size", "45018"):
        found = await HostSampler(LocalHost()).sample([45018])
    assert found.usage_at_port(45018) is None


async def test_the_second_sample_knows_the_cores() -> None:
    sampler = HostSampler(LocalHost())
    first = await sampler.sample()
    second = await sampler.sample()
    assert first.sample.machine is not None
    assert second.sample.machine is not None
    assert first.sample.machine.cores == ()
    assert len(second.sample.machine.cores) == os.cpu_count()
    assert second.sample.machine.memory_total


async def test_cards_come_from_nvidia_smi(tools: Path) -> None:
    put(tools, "nvidia-smi", f"cat <<'EOF'\n{output('nvidia-610-two.csv')}EOF")
    found = await HostSampler(LocalHost()).sample()
    assert [gpu.index for gpu in found.sample.gpus] == [0, 1]
    assert found.errors == ()


async def test_a_process_whose_name_looks_like_a_section_hides_no_card(tools: Path) -> None:
    # ss writes names as they are.
    put(tools, "ss", """printf 'LISTEN users:(("x\n@aitui nvidia-status 9\n",pid=7,fd=3))\n'""")
    put(tools, "nvidia-smi", f"cat <<'EOF'\n{output('nvidia-610-two.csv')}EOF")
    found = await HostSampler(LocalHost()).sample([45019])
    assert [gpu.index for gpu in found.sample.gpus] == [0, 1]
    assert found.errors == ()


async def test_a_tool_that_writes_what_looks_like_a_section_changes_no_fact(tools: Path) -> None:
    put(tools, "systemd-detect-virt", r"printf 'none\n@aitui nvidia\n999.99\n'")
    put(tools, "nvidia-smi", "exit 9")
    assert (await read_host_info(LocalHost(), 1e9)).nvidia_driver != "999.99"


async def test_a_tool_that_fails_is_named_and_left_alone_for_a_while(tools: Path) -> None:
    put(tools, "nvidia-smi", f'echo x >>"{tools}/asked"; echo "Failed to initialize NVML"; exit 9')
    now = 0.0
    sampler = HostSampler(LocalHost(), monotonic=lambda: now)
    for _ in range(3):
        found = await sampler.sample()
        assert found.errors == ("nvidia-smi: Failed to initialize NVML",)
        assert found.sample.machine is not None
    assert (tools / "asked").read_text() == "x\n"
    now = FAILING_PAUSE + 1
    await sampler.sample()
    assert (tools / "asked").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("complaint", "status"),
    [
        ("WARNING: infoROM is corrupted at gpu 0000:0A:00.0", 14),
        ("Unable to determine the device handle for GPU2: GPU is lost.", 15),
    ],
)
async def test_a_tool_that_complains_of_one_card_is_asked_for_the_others(
    tools: Path, complaint: str, status: int
) -> None:
    (gpu, *_) = output("nvidia-610-two.csv").split(",")[1:2]
    put(
        tools,
        "nvidia-smi",
        f"""case $* in
        *compute-apps*) echo "{gpu.strip()}, 4100, 20000" ;;
        *) cat <<'EOF'
{output("nvidia-610-two.csv")}EOF
        esac
        echo "{complaint}"; exit {status}""",
    )
    sampler = HostSampler(LocalHost())
    for _ in range(2):
        found = await sampler.sample()
        assert [gpu.index for gpu in found.sample.gpus] == [0, 1]
        assert found.errors == (f"nvidia-smi: {complaint}",)
        assert [use.pid for use in found.uses] == [4100]


async def test_a_tool_that_hangs_is_ended_and_named(tools: Path) -> None:
    put(tools, "nvidia-smi", f'echo $$ >>"{tools}/asked"; exec sleep 60')
    sampler = HostSampler(LocalHost(), tool_seconds=1)
    found = await sampler.sample()
    assert found.errors == ("nvidia-smi does not answer",)
    assert found.sample.machine is not None
    assert (await sampler.sample()).errors == found.errors
    (pid,) = (tools / "asked").read_text().split()
    assert not Path(f"/proc/{pid}").exists()


async def test_a_tool_that_works_again_is_no_trouble_any_more(tools: Path) -> None:
    put(tools, "nvidia-smi", "exit 9")
    now = 0.0
    sampler = HostSampler(LocalHost(), monotonic=lambda: now)
    assert (await sampler.sample()).errors
    put(tools, "nvidia-smi", f"cat <<'EOF'\n{output('nvidia-580.csv')}EOF")
    now = FAILING_PAUSE + 1
    found = await sampler.sample()
    assert found.errors == ()
    assert len(found.sample.gpus) == 1


async def test_a_machine_without_any_tool_gives_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await HostSampler(LocalHost()).sample([9001])
    assert found.whole
    assert found.sample.gpus == ()
    assert found.sample.machine is None


async def test_a_machine_without_a_shell_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError):
        await HostSampler(LocalHost()).sample()


async def test_a_driver_is_asked_of_a_tool_only_where_its_module_tells_nothing(
    tools: Path,
) -> None:
    put(tools, "nvidia-smi", f'echo "$@" >"{tools}/asked"; echo 580.142')
    found = await read_host_info(LocalHost(), 1e9)
    assert found.nvidia_driver
    assert (tools / "asked").exists() != Path("/proc/driver/nvidia/version").exists()
    (tools / "asked").unlink(missing_ok=True)
    await read_host_info(LocalHost(), 1e9, without_tools=True)
    assert not (tools / "asked").exists()


async def test_a_tool_that_hangs_costs_its_fact_alone(tools: Path) -> None:
    for name in ("nvidia-smi", "systemd-detect-virt"):
        put(tools, name, f'echo $$ >>"{tools}/asked"; exec sleep 60')
    found = await read_host_info(LocalHost(), 1e9, tool_seconds=1)
    assert found.environment == ""
    assert found.kernel
    assert found.threads == os.cpu_count()
    for pid in (tools / "asked").read_text().split():
        assert not Path(f"/proc/{pid}").exists()


async def test_a_machine_without_any_tool_tells_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await read_host_info(LocalHost(), 1e9)
    assert found.non_empty_fields().keys() <= {"environment"}


async def test_a_machine_without_a_shell_cannot_tell_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError):
        await read_host_info(LocalHost(), 1e9)


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    await HostSampler(LocalHost(home=tmp_path)).sample([1234])
    await read_host_info(LocalHost(home=tmp_path), 1e9)
    assert list(tmp_path.iterdir()) == []


def test_a_dear_sample_is_taken_less_often() -> None:
    assert sampling_interval(0.0) == sampling_interval(0.05) == SHORTEST_PAUSE
    assert sampling_interval(0.5) == 25.0
    assert sampling_interval(60.0) == LONGEST_PAUSE


def test_only_ports_reach_the_command_and_never_its_text() -> None:
    assert sample_command([9001, 0, 70_000, -1])[3:] == ("aitui", "", "8", "9001")
    assert sample_command([9001])[2] == SAMPLE_SCRIPT
