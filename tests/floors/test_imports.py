"""Imports go down only, and a command on the command line pays for no screen."""

import ast
import asyncio
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import aitui
from aitui.domain.server import Server

PACKAGE = Path(aitui.__file__).parent
PROJECT = PACKAGE.parent


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running this code."""
    report = "import sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=PROJECT,
    )
    return set(done.stdout.splitlines())


@cache
def imported_by(path: Path) -> frozenset[str]:
    """The modules that a file imports anywhere, inside functions as well."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = (alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names)
    of = (node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module)
    return frozenset((*plain, *of))


def files_that_import(package: str) -> set[str]:
    """The parts of aitui in which a package is imported."""
    return {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == package for name in imported_by(path))
    }


def test_importing_aitui_loads_nothing_of_it() -> None:
    loaded = loaded_after("import aitui")
    assert {name for name in loaded if name.startswith("aitui")} == {"aitui"}


@pytest.fixture(scope="module")
def loaded_at_start() -> set[str]:
    """The modules that are loaded before it is known what to do."""
    return loaded_after("import aitui.__main__, aitui.cli.args, aitui.settings")


@pytest.mark.parametrize("heavy", ["textual", "rich", "httpx", "asyncssh", "aiohttp", "ruamel"])
def test_reading_the_arguments_loads_nothing_heavy(heavy: str, loaded_at_start: set[str]) -> None:
    assert heavy not in loaded_at_start


RUN_STATUS = """
import sys
from aitui.__main__ import main
status = main(["status", "--url", "http://127.0.0.1:9"])
assert status == 3, status
"""


@pytest.fixture(scope="module")
def loaded_by_status() -> set[str]:
    """The modules that `aitui status` has loaded at its end."""
    return loaded_after(RUN_STATUS)


# Not rich: where the linters have brought click along, httpx loads both for a program of its own.
@pytest.mark.parametrize("heavy", ["textual", "asyncssh", "aiohttp", "ruamel", "cryptography"])
def test_status_loads_no_screen_and_nothing_of_the_host(
    heavy: str, loaded_by_status: set[str]
) -> None:
    assert heavy not in loaded_by_status


def test_status_loads_httpx_to_ask(loaded_by_status: set[str]) -> None:
    assert "httpx" in loaded_by_status


ASK = """
import asyncio
from pathlib import Path
from aitui.domain.server import Server
from aitui.llamaswap.client import LlamaSwapClient

async def main():
    files = dict(ca=Path({ca!r}), client_cert=Path({certificate!r}), client_key=Path({key!r}))
    async with LlamaSwapClient(Server(url={url!r}, identity="x", **files)) as client:
        await client.release((await client.version()).version)
        assert await client.models()
        async with client.events() as events:
            await anext(events)

asyncio.run(main())
"""


async def test_a_connection_without_errors_imports_none_of_what_explains_them(
    server: Server,
) -> None:
    code = ASK.format(
        url=server.url,
        ca=str(server.ca),
        certificate=str(server.client_cert),
        key=str(server.client_key),
    )
    loaded = await asyncio.to_thread(loaded_after, code)
    explaining = {"errors", "connection_errors", "certificates"}
    assert not {f"aitui.llamaswap.{name}" for name in explaining} & loaded


def test_only_the_screen_imports_textual() -> None:
    assert files_that_import("textual") == {"ui"}


def test_only_the_client_imports_httpx() -> None:
    assert files_that_import("httpx") == {"llamaswap"}


def test_only_the_stand_in_imports_aiohttp() -> None:
    assert files_that_import("aiohttp") == {"demo"}


def test_only_main_imports_the_stand_in() -> None:
    outside = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "demo" not in path.relative_to(PACKAGE).parts
        and any(name.startswith("aitui.demo") for name in imported_by(path))
    }
    assert outside == {"__main__.py"}


def test_the_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert done.returncode == 0, done.stdout
