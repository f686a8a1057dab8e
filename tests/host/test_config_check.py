"""A config file checked by the host's own llama-swap before it takes its place."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitui.errors import ConfigRefused
from aitui.host.base import Host
from aitui.host.service import SystemdService
from aitui.host.unit import UnitInfo
from host.writing import NEW, OLD, config_on, names_in

PROGRAM = """#!/bin/sh
[ "$1 $2" = "-validate -config" ] || exit 3
if [ "$KEY" != "it's 1
or 2" ]; then
  echo "config validation failed: env var KEY is $KEY"; exit 1
fi
if grep -q 9999 "$3"; then
  echo "config validation failed: $3: model one: 9999 is too much"; exit 1
fi
echo "config is valid: 1 model(s), 0 peer(s)"
"""
OLDER = """#!/bin/sh
echo "flag provided but not defined: -validate" >&2; exit 2
"""
STARTS = """#!/bin/sh
echo "[ERROR] listen: address already in use"; exit 1
"""
VARIABLES = {"KEY": "it's 1\nor 2", "BASH_FUNC_x%%": "() { echo evil; }", "PATH": "/usr/bin:/bin"}


@pytest.fixture
def main_pid() -> Iterator[int]:
    """A process with the variables of the service."""
    with subprocess.Popen(["sleep", "60"], env=VARIABLES) as process:
        yield process.pid
        process.kill()


def unit(folder: Path, main_pid: int, program: str, name: str = "llama-swap") -> UnitInfo:
    """The unit of a program that was put there."""
    path = folder / name
    path.write_text(program)
    path.chmod(0o700)
    config = str(folder / "config.yaml")
    start = (str(path), "-config", config)
    return UnitInfo("x.service", program=str(path), main_pid=main_pid, exec_start=start)


async def error_of(host: Host, facts: UnitInfo, path: Path) -> str:
    """What llama-swap refuses about a file."""
    return await SystemdService(host, "x.service").find_config_error(facts, str(path))


@pytest.mark.parametrize("name", ["llama-swap", ".llama-swap-wrapped", "llama-swap_linux-amd64"])
async def test_the_variables_of_the_service_are_put_in(
    host: Host, tmp_path: Path, main_pid: int, name: str
) -> None:
    (tmp_path / "new.tmp").write_bytes(NEW)
    facts = unit(tmp_path, main_pid, PROGRAM, name)
    assert await error_of(host, facts, tmp_path / "new.tmp") == ""
    without = unit(tmp_path, 0, PROGRAM, name)
    assert "env var KEY is" in await error_of(host, without, tmp_path / "new.tmp")


async def test_a_refusal_names_the_file_that_was_meant(
    host: Host, tmp_path: Path, main_pid: int
) -> None:
    new = tmp_path / "new.tmp"
    new.write_bytes(NEW.replace(b"8192", b"9999"))
    found = await error_of(host, unit(tmp_path, main_pid, PROGRAM), new)
    assert found == f"{tmp_path}/config.yaml: model one: 9999 is too much"


@pytest.mark.parametrize("program", [OLDER, STARTS, "no program"])
async def test_a_llama_swap_that_cannot_say_refuses_nothing(
    host: Host, tmp_path: Path, main_pid: int, program: str
) -> None:
    (tmp_path / "new.tmp").write_bytes(NEW)
    assert await error_of(host, unit(tmp_path, main_pid, program), tmp_path / "new.tmp") == ""


@pytest.mark.parametrize("name", ["podman", "llama-swap.sh", "llama-swap-start.bash", "node"])
async def test_a_launcher_is_not_started_for_it(
    host: Host, tmp_path: Path, main_pid: int, name: str
) -> None:
    facts = unit(tmp_path, main_pid, f"#!/bin/sh\ntouch {tmp_path}/started\n", name)
    assert await error_of(host, facts, tmp_path / "new.tmp") == ""
    assert not (tmp_path / "started").exists()


async def test_what_llama_swap_refuses_is_not_written(
    host: Host, tmp_path: Path, main_pid: int
) -> None:
    path = tmp_path / "folder" / "config.yaml"
    path.parent.mkdir()
    path.write_bytes(OLD)
    facts = unit(tmp_path, main_pid, PROGRAM)

    async def validate(new: str) -> None:
        if words := await error_of(host, facts, Path(new)):
            raise ConfigRefused(words)

    config = config_on(host, path)
    refused = NEW.replace(b"8192", b"9999")
    with pytest.raises(ConfigRefused, match="9999 is too much"):
        await config.write(await config.read(), refused, validate=validate)
    assert path.read_bytes() == OLD
    assert not [name for name in names_in(path.parent) if name.endswith((".tmp", "lock"))]
    await config.write(await config.read(), NEW, validate=validate)
    assert path.read_bytes() == NEW
