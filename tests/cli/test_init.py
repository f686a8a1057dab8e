"""`aitui init`: a server is asked for or given by options, checked, and saved in config.toml."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.demo.certificates import Certificates
from catalogue import CATALOGUE, QUICK
from cli.command_line import CommandLine, read_until, status_of
from stand_in import StandIn

ASK_PORT = """
import sys
import aitui.domain.server as server
server.USUAL_PORTS = (int(sys.argv.pop(1)),)
from aitui.__main__ import main
sys.exit(main())
"""


@pytest.fixture
async def plain() -> AsyncIterator[StandIn]:
    """A llama-swap of this machine, without TLS."""
    async with StandIn(CATALOGUE) as running:
        yield running


@pytest.fixture
def aitui(tmp_path: Path) -> CommandLine:
    """A user without any settings."""
    return CommandLine(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, certificates: Certificates) -> Path:
    """The certificates of a client by their usual names."""
    folder = tmp_path / "certs"
    folder.mkdir()
    shutil.copy(certificates.root_ca, folder / "root-ca.pem")
    shutil.copy(certificates.client_cert, folder / "client.pem")
    shutil.copy(certificates.client_key, folder / "client-key.pem")
    return folder


def config_of(aitui: CommandLine) -> str:
    return (aitui.home / ".config/aitui/config.toml").read_text()


async def test_a_url_is_checked_saved_and_opened_from_then_on(
    aitui: CommandLine, plain: StandIn
) -> None:
    url = plain.url.replace("http://127.0.0.1", "localhost")
    outcome = await aitui.run("init", "--url", url)
    assert (outcome.status, outcome.err) == (0, "")
    assert "✔ /v1/models: 14 models" in outcome.out
    assert outcome.out.endswith(
        "Saved as local in ~/.config/aitui/config.toml\naitui --server local opens it\n"
    )
    assert config_of(aitui) == f'default = "local"\n\n[servers.local]\nurl = "http://{url}"\n'
    assert QUICK in (await aitui.run("status")).out


async def test_a_server_behind_client_certificates(
    aitui: CommandLine, stand_in: StandIn, folder: Path
) -> None:
    options = ("--certs-dir", str(folder), "--name", "lab")
    outcome = await aitui.run("init", "--url", stand_in.url, *options)
    assert outcome.status == 0, outcome
    assert "✔ certificate accepted" in outcome.out
    assert 'certs_dir = "~/certs"' in config_of(aitui)
    assert QUICK in (await aitui.run("status")).out


async def test_single_files_may_be_anywhere(
    aitui: CommandLine, stand_in: StandIn, folder: Path
) -> None:
    key = (folder / "client-key.pem").rename(folder / "mine.key")
    outcome = await aitui.run(
        *("init", "--url", stand_in.url, "--ca", str(folder / "root-ca.pem")),
        *("--client-cert", str(folder / "client.pem"), "--client-key", str(key)),
    )
    assert outcome.status == 0, outcome
    assert 'client_cert = "~/certs/client.pem"\nclient_key = "~/certs/mine.key"' in config_of(aitui)


async def test_without_its_certificate_nothing_is_saved(
    aitui: CommandLine, stand_in: StandIn, certificates: Certificates
) -> None:
    options = ("init", "--url", stand_in.url, "--ca", str(certificates.root_ca))
    outcome = await aitui.run(*options)
    assert outcome.status == 4
    assert "requires a client certificate" in outcome.out
    assert "Not saved" in outcome.err
    assert not (aitui.home / ".config").exists()
    assert (await aitui.run(*options, "--yes")).status == 0
    assert stand_in.url in config_of(aitui)


async def test_a_server_of_that_name_is_replaced_only_with_force(
    aitui: CommandLine, plain: StandIn
) -> None:
    config = aitui.home / ".config/aitui/config.toml"
    config.parent.mkdir(parents=True)
    before = '[servers.lab]   # mine\nurl = "http://old"\ncolour = "red"\n'
    config.write_text(before)
    refused = await aitui.run("init", "--url", plain.url, "--name", "lab")
    assert refused.status == 6
    assert "--force" in refused.err
    assert config.read_text() == before
    assert (await aitui.run("init", "--url", plain.url, "--name", "lab", "--force")).status == 0
    assert config.read_text() == (f'default = "lab"\n\n{before.replace("http://old", plain.url)}')


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--url", "ftp://x"), 2, "http:// or https:// in front"),
        (
            ("--url", "https://x", "--certs-dir", "/nowhere"),
            4,
            "aitui: /nowhere does not exist\n  name a dir",
        ),
        (("--url", "https://x", "--p12", "a.p12", "--ca", "b.pem"), 2, "expected only one"),
        (("--url", "http://x", "--name", "a/b"), 2, "can't be the name of a server"),
        ((), 6, "--url"),
    ],
)
async def test_what_makes_no_sense_is_refused_at_once(
    aitui: CommandLine, options: tuple[str, ...], status: int, words: str
) -> None:
    outcome = await aitui.run("init", *options)
    assert outcome.status == status, outcome
    assert words in outcome.err
    assert not (aitui.home / ".config").exists()


async def test_on_a_terminal_it_asks_and_lists_what_answers(
    aitui: CommandLine, plain: StandIn
) -> None:
    port = plain.url.rpartition(":")[2]
    program = ("-c", ASK_PORT, port)
    async with aitui.at_terminal("init", program=program) as (process, terminal):
        await read_until(terminal, "Address (a number or a URL): ")
        os.write(terminal, b"htp://x\n")
        await read_until(terminal, "in front")
        os.write(terminal, b"1\n")
        await read_until(terminal, "empty for none): ")
        os.write(terminal, b"\n")
        await read_until(terminal, "Name (local): ")
        os.write(terminal, b"desk\n")
        assert await status_of(process) == 0
    assert f'[servers.desk]\nurl = "http://localhost:{port}"' in config_of(aitui)
