"""SIGHUP reaches llama-swap alone, whatever stands between it and systemd: all else dies of it."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.errors import ServiceFailed
from aitui.host.service import SystemdService
from aitui.host.sighup import parse_sighup_result
from e2e.service.inside import Inside
from e2e.service.installed import CONFIG, UNIT_TEXT
from e2e.service.test_taking_effect import proxy_log, running_command, until
from e2e.service.user_manager import EXECUTABLE, UNIT, UserManager, python_path

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]

SWAP = "/mnt/home/bin/llama-swap"
LAUNCHER = "node_modules/.bin/llama-swap"
NODE = f"""\
#!/usr/bin/env node
const {{ spawn }} = require("node:child_process");
spawn("{SWAP}", process.argv.slice(2), {{ stdio: "inherit" }});
"""
PYTHON = f"""\
#!{python_path()}
import subprocess, sys
sys.exit(subprocess.call(["{SWAP}", *sys.argv[1:]]))
"""
SHELL = f"""\
#!/bin/sh
{SWAP} "$@"
exit $?
"""
SHELL_OF_A_SHELL = f"""\
#!/bin/sh
sh -c '{SWAP} "$@"; exit $?' sh "$@"
exit $?
"""
EXEC = f"""\
#!/bin/sh
exec {SWAP} "$@"
"""
TWICE = f"""\
#!/bin/sh
{SWAP} -listen 127.0.0.1:0 -config /mnt/home/.config/llama-swap/config.yaml &
{SWAP} "$@"
exit $?
"""


async def launched_by(machine: UserManager, host: Inside, script: str) -> SystemdService:
    """The service, started by that launcher."""
    machine.write_program(LAUNCHER, script)
    machine.write_unit(UNIT_TEXT.replace("bin/llama-swap", LAUNCHER))
    service = SystemdService(host, UNIT)
    await service.restart()
    await until(machine.answers)
    return service


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(NODE, marks=pytest.mark.real_server("nodejs")),
        PYTHON,
        SHELL,
        SHELL_OF_A_SHELL,
        EXEC,
    ],
    ids=["node", "python", "shell", "shell of a shell", "exec"],
)
async def test_behind_a_launcher_llama_swap_itself_is_signalled(
    machine: UserManager, host: Inside, script: str
) -> None:
    service = await launched_by(machine, host, script)
    before = (await service.facts()).main_pid
    machine.write_config(CONFIG.replace("65536", "131072"))
    await service.reload()
    await until(lambda: "configuration reloaded" in proxy_log(machine))
    assert "--ctx-size 131072" in await asyncio.to_thread(running_command, machine)
    facts = await service.facts()
    assert facts.running
    assert facts.main_pid == before


async def test_of_two_behind_a_launcher_none_is_signalled(
    machine: UserManager, host: Inside
) -> None:
    service = await launched_by(machine, host, TWICE)
    before = (await service.facts()).main_pid
    with pytest.raises(ServiceFailed, match="can't be reloaded") as refused:
        await service.reload()
    assert "2 llama-swap processes" in refused.value.why
    assert "aitui restart" in refused.value.shell_remedy
    assert (await service.facts()).main_pid == before
    assert "SIGHUP" not in proxy_log(machine)


async def test_a_launcher_without_llama_swap_is_not_signalled(
    machine: UserManager, host: Inside
) -> None:
    machine.write_unit(
        '[Service]\nExecStart=/bin/sh -c "sleep 100; llama-swap"\n', "launcher.service"
    )
    service = SystemdService(host, "launcher.service")
    await service.restart()
    with pytest.raises(ServiceFailed, match="can't be reloaded") as refused:
        await service.reload()
    assert refused.value.why.startswith(
        f"it runs {Path('/bin/sh').resolve()}, which SIGHUP would end"
    )
    assert (await service.facts()).running
    machine.systemctl("stop", "launcher.service")


@pytest.mark.parametrize(
    ("name", "is_signalled"),
    [
        ("llama-swap", True),
        ("llama-swap-linux-amd64", True),
        ("llama-swap_218", True),
        (".llama-swap-wrapped", True),
        ("my-llama-swap", False),
        ("llama-server", False),
        ("node", False),
    ],
)
async def test_llama_swap_is_known_by_the_name_of_its_executable(
    machine: UserManager, host: Inside, name: str, is_signalled: bool
) -> None:
    # `sleep` dies of SIGHUP, so that one that was signalled runs no more.
    machine.copy_program("/bin/sleep", f"programs/{name}")
    machine.write_unit(f"[Service]\nExecStart=%h/programs/{name} 100\n", "named.service")
    service = SystemdService(host, "named.service")
    await service.restart()
    try:
        if is_signalled:
            await service.reload()
            async with asyncio.timeout(10):
                while (await service.facts()).running:
                    await asyncio.sleep(0.02)
        else:
            with pytest.raises(ServiceFailed, match="can't be reloaded") as refused:
                await service.reload()
            assert f"/mnt/home/programs/{name}" in refused.value.why
            assert (await service.facts()).running
    finally:
        machine.systemctl("stop", "named.service")


async def test_an_executable_that_was_replaced_since_is_still_known(
    machine: UserManager, service: SystemdService
) -> None:
    machine.copy_program(python_path(), EXECUTABLE)
    pid = (await service.facts()).main_pid
    assert (
        machine.run("readlink", f"/proc/{pid}/exe").strip() == f"/mnt/home/{EXECUTABLE} (deleted)"
    )
    await service.reload()
    await until(lambda: "configuration reloaded" in proxy_log(machine))


async def test_an_executable_that_may_not_be_seen_is_not_signalled(
    machine: UserManager, host: Inside
) -> None:
    # As one with capabilities of its own is.
    blind = machine.home / "blind"
    blind.mkdir(exist_ok=True)
    (blind / "readlink").unlink(missing_ok=True)
    (blind / "readlink").symlink_to("/bin/false")
    there = Inside(machine, surroundings=("PATH=/mnt/home/blind:/usr/bin:/bin",))
    with pytest.raises(ServiceFailed, match="can't be reloaded"):
        await SystemdService(there, UNIT).reload()
    assert "SIGHUP" not in proxy_log(machine)


@given(st.binary(max_size=200))
def test_any_answer_is_read_and_only_one_means_sent(output: bytes) -> None:
    hang_up = parse_sighup_result(output)
    assert hang_up.sent is (output.decode(errors="replace").split()[:1] == ["sent"])
    assert not any(ord(letter) < 32 for letter in hang_up.why_not)
