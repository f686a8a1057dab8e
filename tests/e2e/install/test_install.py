"""The wheel that the source distribution makes: its completions in real shells, and its manual page."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from catalogue import CATALOGUE, QUICK, SLOW
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import StandIn

ROOT = Path(__file__).parents[3]
SITE = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; what it printed."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


async def run_beside(*command: str | Path, env: Mapping[str, str]) -> str:
    """Run it in a thread: a server of this loop answers meanwhile."""
    return await asyncio.to_thread(run, *command, env=env)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel of the source distribution is installed."""
    folder = tmp_path_factory.mktemp("install")
    python = sys.executable
    run(python, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder))
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(path for path in folder.iterdir() if path.is_dir())
    run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=source)
    wheel = next(folder.glob("*.whl"))
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    run(*pip, "--no-index", "--ignore-installed", "--prefix", folder / "prefix", wheel)
    return folder / "prefix"


@pytest.fixture
def user(installed: Path, tmp_path: Path) -> dict[str, str]:
    """A user who has it on the path."""
    path = f"{installed / 'bin'}:{os.environ['PATH']}"
    return surroundings(tmp_path, PATH=path, PYTHONPATH=str(installed / SITE))


SCRIPTS = {
    "bash": "share/bash-completion/completions/aitui",
    "zsh": "share/zsh/site-functions/_aitui",
    "fish": "share/fish/vendor_completions.d/aitui.fish",
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_what_is_installed(
    installed: Path, user: dict[str, str], shell: str
) -> None:
    printed = run(installed / "bin/aitui", "completions", shell, env=user)
    assert printed == (installed / SCRIPTS[shell]).read_text()


def shell_program(*command: str) -> tuple[str, str]:
    """A shell in place of Python."""
    return "-c", f"import os; os.execvp({command[0]!r}, {command!r})"


START = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
SOURCE = {
    "bash": "source {script}",
    "zsh": "fpath=({folder} $fpath); autoload -Uz compinit; compinit -D",
    "fish": "source {script}",
}


async def ready(shown: Terminal, shell: str, installed: Path) -> None:
    """Read the script, and wait for the shell."""
    script = installed / SCRIPTS[shell]
    shown.press(f"{SOURCE[shell].format(script=script, folder=script.parent)}; echo re''ady\r")
    await shown.see("ready")


@pytest.mark.parametrize(
    "shell", [pytest.param(shell, marks=pytest.mark.real_server(shell)) for shell in START]
)
async def test_a_shell_completes_commands_servers_and_live_models(
    installed: Path, user: dict[str, str], tmp_path: Path, shell: str
) -> None:
    async with StandIn(CATALOGUE) as server:
        config = tmp_path / ".config/aitui/config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(f'[servers.cellar]\nurl = "{server.url}"\n')
        where = ("--", "--server", "cellar")
        await run_beside(installed / "bin/aitui", "completions", "refresh", *where, env=user)
        async with terminal(
            (), user, size=(120, 40), program=shell_program(*START[shell])
        ) as shown:
            await ready(shown, shell, installed)
            shown.press("aitui --server c\t")
            await shown.see("--server cellar")
            shown.press("unl\t")
            await shown.see("--server cellar unload")
            shown.press(f"{SLOW[:4]}\t")
            await shown.see(f"unload {SLOW}")


async def test_the_first_completion_asks_the_server_and_the_next_one_knows(
    installed: Path, user: dict[str, str]
) -> None:
    aitui = installed / "bin/aitui"
    async with StandIn(CATALOGUE) as server:
        line = ("completions", "models", "--", "load", "--url", server.url)
        async with asyncio.timeout(30):
            while QUICK not in (await run_beside(aitui, *line, env=user)).splitlines():
                await asyncio.sleep(0.1)
    assert QUICK in (await run_beside(aitui, *line, env=user)).splitlines()


def test_a_server_that_never_answers_is_not_waited_for(
    installed: Path, user: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        line = ("completions", "models", "--", "load", "--url", url)
        assert run(installed / "bin/aitui", *line, env=user) == ""


@pytest.mark.real_server("groff")
def test_the_manual_page_is_formatted_without_a_warning(installed: Path) -> None:
    page = installed / "share/man/man1/aitui.1"
    done = subprocess.run(
        ("groff", "-man", "-Tutf8", "-ww", page), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout).split())
    for words in ("aitui - a dashboard", "aitui init", "EXIT STATUS", "refused by TLS"):
        assert words in text
