"""`aitui setup caddy` on the machine of a real Caddy: the site is added, and serves."""

import asyncio
import os
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from catalogue import CATALOGUE, QUICK
from cli.command_line import CommandLine, read_until, status_of
from domain.memory.files import BIG
from e2e.pseudo_terminal.terminal import ROOT, surroundings, terminal
from e2e.service.user_manager import ACCOUNT, UserManager, free_port
from host.conftest import make_place
from host.sshd import Sshd
from stand_in import StandIn

pytestmark = pytest.mark.real_server("caddy")

GLOBAL = """\
{{
	admin unix/{folder}/admin.sock
	auto_https disable_redirects
}}

http://localhost:{port} {{
	bind 127.0.0.1
	respond "the other site"
}}
"""

PROGRAM = (
    "import sys, aitui.domain.server as server; server.LISTEN_PORT = {port}; "
    "from aitui.__main__ import main; sys.exit(main())"
)


@pytest.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with StandIn(CATALOGUE, Dialect.V263) as running:
        yield running


@pytest.fixture
async def folder(tmp_path: Path, certificates: Certificates) -> AsyncIterator[Path]:
    """Caddy's folder; a Caddy runs with it, and serves another site."""
    folder = tmp_path / "caddy"
    (folder / "certs").mkdir(parents=True)
    shutil.copy(certificates.server_cert, folder / "certs" / "caddy.pem")
    shutil.copy(certificates.server_key, folder / "certs" / "caddy-key.pem")
    shutil.copy(certificates.root_ca, folder / "certs" / "root-ca.pem")
    (folder / "Caddyfile").write_text(GLOBAL.format(folder=folder, port=free_port()))
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("caddy", "run", "--adapter", "caddyfile", "--config", "Caddyfile"),
            cwd=folder,
            env={**os.environ, **home},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(20):
            while not (folder / "admin.sock").exists():
                assert process.returncode is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.02)
        yield folder
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def aitui(
    tmp_path: Path, folder: Path, upstream: StandIn, certificates: Certificates
) -> CommandLine:
    reload = (
        f"caddy reload --adapter caddyfile --config Caddyfile --address unix/{folder}/admin.sock"
    )
    (tmp_path / "home").mkdir()
    return CommandLine(
        tmp_path / "home",
        {
            "AI_SERVER_URL": f"https://localhost:{free_port()}",
            "AI_SERVER_CA": str(certificates.root_ca),
            "AI_SERVER_CLIENT_CERT": str(certificates.client_cert),
            "AI_SERVER_CLIENT_KEY": str(certificates.client_key),
            "AI_SERVER_PROXY_SSH_HOST": "local",
            "AI_SERVER_PROXY_DIR": str(folder),
            "AI_SERVER_PROXY_RELOAD": reload,
        },
    )


def setup(upstream: StandIn, *more: str) -> tuple[str, ...]:
    return ("setup", "caddy", "--upstream", upstream.url.removeprefix("http://"), *more)


async def test_the_site_serves_who_has_a_certificate_and_streams_at_once(
    aitui: CommandLine, folder: Path, upstream: StandIn, certificates: Certificates
) -> None:
    before = (folder / "Caddyfile").read_text()
    done = await aitui.run(*setup(upstream, "--apply", "--yes"))
    assert (done.status, done.out) == (0, ""), done.err
    assert "reloaded Caddy" in done.err
    assert (folder / "Caddyfile").read_text().startswith(before)
    listed = await aitui.run("status")
    assert listed.status == 0, listed.err

    url = aitui.environment["AI_SERVER_URL"]
    context = ssl.create_default_context(cafile=str(certificates.root_ca))
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientError):
            await client.get(f"{url}/running", ssl=context)
        context.load_cert_chain(certificates.client_cert, certificates.client_key)
        async with asyncio.timeout(10), client.get(f"{url}/logs/stream", ssl=context) as stream:
            assert b"llama-swap" in await stream.content.readline()

    again = await aitui.run(*setup(upstream))
    assert (again.status, again.out) == (0, "")
    assert "exists and requires certificates" in again.err


async def test_what_is_printed_does_the_same(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    printed = await aitui.run(*setup(upstream))
    assert (printed.status, printed.err) == (0, "")
    assert f"{folder}/certs: caddy.pem, caddy-key.pem, root-ca.pem" in printed.out
    shell = await asyncio.create_subprocess_exec("sh", "-ec", printed.out)
    assert await shell.wait() == 0
    listed = await aitui.run("status")
    assert listed.status == 0, listed.err


async def test_what_caddy_refuses_is_not_written(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    before = (folder / "Caddyfile").read_text()
    (folder / "certs" / "caddy.pem").write_text("no certificate")
    refused = await aitui.run(*setup(upstream, "--apply", "--yes"))
    assert refused.status == 1
    assert "Caddy rejects the new Caddyfile" in refused.err, refused.err
    assert (folder / "Caddyfile").read_text() == before


async def test_the_old_file_comes_back_if_caddy_does_not_take_over_the_new_one(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    before = (folder / "Caddyfile").read_text()
    aitui.environment["AI_SERVER_PROXY_RELOAD"] = "echo no such container >&2; exit 1"
    refused = await aitui.run(*setup(upstream, "--apply", "--yes"))
    assert refused.status == 1
    assert "no such container" in refused.err
    assert (folder / "Caddyfile").read_text() == before


async def test_nothing_goes_to_the_machine_of_llama_swap(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    del aitui.environment["AI_SERVER_PROXY_SSH_HOST"]
    aitui.environment["AI_SERVER_SSH_HOST"] = "local"
    before = (folder / "Caddyfile").read_text()
    refused = await aitui.run(*setup(upstream, "--apply", "--yes"))
    assert refused.status == 6
    assert "proxy_ssh_host" in refused.err
    assert (folder / "Caddyfile").read_text() == before
    printed = await aitui.run(*setup(upstream))
    assert printed.out.startswith("# on the machine of the proxy\n")


async def test_files_that_are_missing_are_named_first(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    (folder / "certs" / "root-ca.pem").unlink()
    refused = await aitui.run(*setup(upstream, "--apply", "--yes"))
    assert refused.status == 1
    assert f"root-ca.pem missing in {folder}/certs" in refused.err


async def test_in_a_container_the_paths_are_its_own(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    aitui.environment["AI_SERVER_PROXY_RELOAD"] = "docker compose exec -T caddy caddy reload"
    printed = await aitui.run(*setup(upstream))
    assert f"{folder}:/etc/caddy" in printed.out
    assert "tls /etc/caddy/certs/caddy.pem" in printed.out


async def test_from_an_empty_directory_to_a_table_behind_client_certificates(
    aitui: CommandLine, folder: Path, upstream: StandIn
) -> None:
    url = aitui.environment.pop("AI_SERVER_URL")
    for name in ("AI_SERVER_CA", "AI_SERVER_CLIENT_CERT", "AI_SERVER_CLIENT_KEY"):
        del aitui.environment[name]
    certs = aitui.home / "certs"
    for words in (("new-ca",), ("server", "localhost", "127.0.0.1"), ("client", "laptop")):
        made = await aitui.run("certs", *words, "--dir", str(certs))
        assert made.status == 0, made.err
    for file in ("caddy.pem", "caddy-key.pem", "root-ca.pem"):
        shutil.copy(certs / file, folder / "certs" / file)

    proxied = await aitui.run(*setup(upstream, "--apply", "--yes", "--url", url))
    assert proxied.status == 0, proxied.err
    added = await aitui.run("init", "--url", url, "--certs-dir", str(certs), "--name", "home")
    assert added.status == 0, added.err
    aitui.environment.clear()
    checked = await aitui.run("certs", "check")
    assert (checked.status, checked.err) == (0, "")
    assert ", 0 failed" in checked.out
    async with terminal((), surroundings(aitui.home), size=(120, 36)) as shown:
        await shown.see("home ●", " ms ", QUICK)


@pytest.mark.real_server("openssh-server")
async def test_over_ssh_a_yes_at_the_terminal_is_asked_for_after_the_diff(
    aitui: CommandLine, folder: Path, upstream: StandIn, tmp_path: Path
) -> None:
    before = (folder / "Caddyfile").read_text()
    words = setup(upstream, "--apply", "--ssh-host", "box")
    with Sshd(tmp_path / "sshd") as sshd:
        make_place(aitui.home, sshd, "  IdentityAgent none\n")
        for answer in (b"n\n", b"y\n"):
            async with aitui.at_terminal(*words) as (process, ours):
                shown = await read_until(ours, "Write? [y/N] ")
                assert "reverse_proxy" in shown
                assert (folder / "Caddyfile").read_text() == before
                os.write(ours, answer)
                status = await status_of(process)
            assert status == (0 if answer == b"y\n" else 6)
    assert "require_and_verify" in (folder / "Caddyfile").read_text()
    assert (await aitui.run("status")).status == 0


@pytest.mark.deployment
@pytest.mark.real_server("openssh-server")
@pytest.mark.real_server("systemd")
async def test_the_way_of_the_readme_leads_from_nothing_to_a_loaded_model(
    machine: UserManager, folder: Path, tmp_path: Path
) -> None:
    """Pasted at a terminal: llama-swap on one machine, Caddy on another, certificates of our own."""
    (machine.home / "models").mkdir()
    (machine.home / "models" / "Llama-3.2-1B-Q8_0.gguf").write_bytes(BIG)
    home, url = tmp_path / "home", f"https://localhost:{free_port()}"
    names = {
        "https://ai.example.org": url,
        "ai.example.org": "localhost",
        "box:8080": f"127.0.0.1:{machine.port}",
        "me@box": "box",
        "root@proxy": "proxy",
        "/etc/caddy": str(folder),
    }
    block = (ROOT / "README.md").read_text().rpartition("$ export AI_SERVER_URL=https:")[2]
    pasted = "\n".join(
        line.removeprefix("$ ") for line in f"export AI_SERVER_URL=https:{block}".split("\n")
    ).partition("```")[0]
    for name, ours in names.items():
        pasted = pasted.replace(name, ours)
    programs = {
        "aitui": f"exec {sys.executable} -c '{PROGRAM.format(port=machine.port)}' \"$@\"",
        "ssh": f'exec {shutil.which("ssh")} -F "$HOME/.ssh/config" "$@"',
        "scp": f'exec {shutil.which("scp")} -S "$HOME/bin/ssh" "$@"',
    }
    with Sshd(tmp_path / "sshd") as sshd:
        make_place(home, sshd)
        ssh_config = home / ".ssh/config"
        ssh_config.write_text(
            ssh_config.read_text().replace("Host box", "Host proxy")
            + f"Host box\n  HostName 127.0.0.1\n  Port {machine.ssh_port}\n  User {ACCOUNT}\n"
            f"  IdentityFile {machine.identity}\n"
            f"Host *\n  IdentityAgent none\n  UserKnownHostsFile {home}/.ssh/known_hosts\n"
        )
        with (home / ".ssh/known_hosts").open("a") as known:
            known.write(machine.known_hosts.read_text())
        (home / "bin").mkdir()
        for name, line in programs.items():
            (home / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
            (home / "bin" / name).chmod(0o755)
        user = surroundings(
            home,
            AI_SERVER_PROXY_DIR=str(folder),
            AI_SERVER_PROXY_RELOAD=(
                "caddy reload --adapter caddyfile --config Caddyfile "
                f"--address unix/{folder}/admin.sock"
            ),
        )
        user["PATH"] = f"{home}/bin:{user['PATH']}"
        shell = ("-c", f"import os; os.execvp('sh', ['sh', '-c', {pasted!r}])")
        async with terminal((), user, size=(120, 36), program=shell) as shown:
            await shown.see("config.yaml", "Write? [y/N]")
            shown.press("y\r")
            await shown.see("ExecStart=", "Write? [y/N]")
            shown.press("y\r")
            await shown.until(lambda: b"client-key.pem" in shown.sent, "certificates")
            await shown.until(lambda: b"Saved as local" in shown.sent, "saved")
            await shown.see(" 1 Models ", " ms ", "Llama-3.2-1B-Q8_0")
            shown.press("l")
            await shown.see("● Llama-3.2-1B-Q8_0", "ready")
            shown.press("q")
            assert await shown.ends() == 0
