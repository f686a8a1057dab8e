"""A model is downloaded by the real `hf` from a hub on loopback, configured, loaded and verified."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from cli.command_line import CommandLine, Outcome, finish
from domain.memory.files import BIG
from e2e.service.user_manager import UserManager, python_path
from e2e.setup.hub import Hub, run_hub

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]

REPOSITORY = "me/tiny-GGUF"
NAME = "quants/Tiny-Q8_0.gguf"
MODEL = BIG + b"\0" * (25 << 20)
HF = """\
#!/bin/sh
PYTHONPATH=/mnt/packages exec {python} -m huggingface_hub.cli.hf "$@"
"""


@pytest.fixture
def hub(machine: UserManager, aitui: CommandLine) -> Iterator[Hub]:
    """A hub with one repository, on a machine with hf and a llama-swap that runs."""
    machine.reset()
    machine.write_program(".local/bin/hf", HF.format(python=python_path()))
    files = {NAME: MODEL, "Tiny-Q4_0.gguf": BIG, "README.md": b"a model"}
    with run_hub({REPOSITORY: files, "me/evil": {"\x1b[2J.gguf": BIG}}) as hub:
        aitui.environment["HF_ENDPOINT"] = hub.url
        yield hub


async def add(aitui: CommandLine, *words: str) -> Outcome:
    return await aitui.run("add", *words, "--yes")


async def test_a_model_of_the_hub_is_downloaded_added_and_loaded(
    aitui: CommandLine, machine: UserManager, hub: Hub
) -> None:
    hub.break_after = 12 << 20
    # Neither a shell nor systemd replaces anything in it.
    done = await add(aitui, REPOSITORY, "--include", "*[${T}]iny-Q8_0*")
    assert done.status == 0, done.err
    path = machine.home / "models" / REPOSITORY / NAME
    assert path.read_bytes() == MODEL
    assert hub.starts == [0, 10 << 20]  # hf keeps what it has written when a connection breaks
    assert f"/mnt/home/models/{REPOSITORY}/{NAME}" in machine.config.read_text()
    assert "Tiny-Q8_0 is ready" in done.err
    unread = machine.config.read_text().replace("Tiny-Q8_0:", "renamed:")
    machine.write_config(unread)
    again = await add(aitui, f"~/models/{REPOSITORY}/{NAME}")
    assert (again.status, again.out) == (0, ""), again.err
    assert "renamed is ready" in again.err
    assert machine.config.read_text() == unread


@pytest.mark.deployment
async def test_what_can_not_be_downloaded_is_refused_with_the_reason(
    aitui: CommandLine, hub: Hub
) -> None:
    several = await add(aitui, REPOSITORY)
    assert several.status == 6
    assert f"2 models of {REPOSITORY} match *.gguf" in several.err
    assert f"Tiny-Q4_0.gguf, {NAME}" in several.err
    evil = await add(aitui, "me/evil")
    assert "me/evil has a file with an invalid name" in evil.err
    assert "\x1b" not in evil.err
    option = await aitui.run("add", "--yes", "--", "--help/x")
    assert "“--help/x” is neither AUTHOR/REPO nor a file" in option.err
    assert hub.starts == []


@pytest.mark.deployment
async def test_a_download_goes_on_without_aitui_and_the_same_command_continues(
    aitui: CommandLine, machine: UserManager, hub: Hub
) -> None:
    hub.hang_after = 12 << 20
    words = ("add", REPOSITORY, "--include", "*Q8_0*", "--yes")
    process = await aitui.start(*words)
    assert await asyncio.to_thread(hub.is_hanging.wait, 20)
    process.send_signal(signal.SIGINT)
    interrupted = await finish(process)
    assert "The same command continues" in interrupted.err
    assert "aitui-download-" in machine.systemctl("list-units", "--no-legend", "aitui-download-*")
    process = await aitui.start(*words)
    hub.go_on.set()
    done = await finish(process)
    assert (done.status, hub.starts) == (0, [0]), done.err
    assert "Tiny-Q8_0 is ready" in done.err
