"""`aitui setup browser` with the tools of NSS, and with a Chromium that has no one to answer it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from catalogue import CATALOGUE
from cli.command_line import CommandLine
from e2e.caddy.openssl import Guide, Pair
from e2e.caddy.proxy import Caddy
from stand_in import StandIn

pytestmark = [pytest.mark.real_server("libnss3-tools"), pytest.mark.real_server("openssl")]

URL = "https://ai.example.org"


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """The certificates of the set-up guide: a client of X.509 v1, a root without keyUsage."""
    return Guide(tmp_path_factory.mktemp("guide"), "Fox's")


@pytest.fixture(scope="module")
def client(guide: Guide) -> Pair:
    return guide.client()


@pytest.fixture
def aitui(tmp_path: Path, guide: Guide, client: Pair) -> CommandLine:
    home = tmp_path / "a home"
    (home / ".pki" / "nssdb").mkdir(parents=True)
    variables = {
        "AI_SERVER_URL": URL,
        "AI_SERVER_CA": str(guide.root),
        "AI_SERVER_CLIENT_CERT": str(client.certificate),
        "AI_SERVER_CLIENT_KEY": str(client.key),
    }
    return CommandLine(home, variables)


def certificates_in(store: Path) -> str:
    listing = ("certutil", "-d", f"sql:{store}", "-L")
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout


def paste(commands: str, home: Path, folder: Path) -> None:
    """Run them in a shell with a `flatpak` and a `sudo` that only note that they were called."""
    for name in ("flatpak", "sudo"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>"$HOME/called"\n')
        program.chmod(0o755)
    environment = {"HOME": str(home), "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    shell = ("sh", "-ec", commands)
    subprocess.run(shell, cwd=folder, env=environment, check=True, capture_output=True)


async def test_the_policy_is_json_alone_and_names_the_issuer(aitui: CommandLine) -> None:
    done = await aitui.run("setup", "browser", "--policy")
    assert (done.status, done.err) == (0, "")
    (choice,) = json.loads(done.out)["AutoSelectCertificateForUrls"]
    issuer = {"CN": "Fox's Root CA", "O": "Fox's"}
    assert json.loads(choice) == {"pattern": URL, "filter": {"ISSUER": issuer}}


async def test_the_steps_fill_the_stores_of_packages_and_of_the_flatpak(
    aitui: CommandLine, tmp_path: Path
) -> None:
    done = await aitui.run("setup", "browser")
    assert done.status == 0
    paste(done.out, aitui.home, tmp_path)
    for store in (".pki/nssdb", ".var/app/com.brave.Browser/.pki/nssdb"):
        listed = certificates_in(aitui.home / store)
        assert "CT,C,C" in listed
        assert "u,u,u" in listed
    policy = json.loads((tmp_path / "aitui-policy.json").read_text())
    assert list(policy) == ["AutoSelectCertificateForUrls"]
    *installs, override, install, kill = (aitui.home / "called").read_text().splitlines()
    assert len(installs) == 3
    place = "/etc/brave/policies/managed/aitui.json"
    assert install == f"sudo install -D -m 644 aitui-policy.json {place}"
    assert override == "flatpak override --user com.brave.Browser --filesystem=/etc/brave:ro"
    assert kill == "flatpak kill com.brave.Browser"


async def test_the_stores_of_this_machine_are_filled(aitui: CommandLine, client: Pair) -> None:
    done = await aitui.run("setup", "browser", "--apply", "--yes")
    assert done.status == 0, done.err
    assert "✔ store: ~/.pki/nssdb has Fox's Root CA" in done.err
    assert "Fox's Root CA" in certificates_in(aitui.home / ".pki" / "nssdb")
    p12 = client.certificate.with_name("client-legacy.p12")
    assert p12.stat().st_mode & 0o777 == 0o600


async def test_a_server_without_certificates_needs_no_browser_set_up(aitui: CommandLine) -> None:
    aitui.environment = {"AI_SERVER_URL": "http://localhost:1"}
    done = await aitui.run("setup", "browser")
    assert done.status == 2
    assert "needs no certificate in a browser" in done.err


@pytest.fixture
async def caddy(tmp_path: Path, guide: Guide) -> AsyncIterator[Caddy]:
    served = guide.server("DNS:localhost", "IP:127.0.0.1")
    async with (
        StandIn(CATALOGUE, Dialect.V263) as upstream,
        Caddy(tmp_path / "caddy", upstream.url, served, guide.root) as running,
    ):
        yield running


class Desk:
    """This machine as Chromium sees it: policies and system trust are its own, and trust the CA."""

    SCRIPT = """\
mount -t tmpfs tmpfs /etc/chromium
mkdir -p /etc/chromium/policies/managed
if [ -s "$POLICY" ]; then cp "$POLICY" /etc/chromium/policies/managed/aitui.json; fi
cat /etc/ssl/certs/ca-certificates.crt "$AI_SERVER_CA" >"$HOME/trust"
mount --bind "$HOME/trust" /etc/ssl/certs/ca-certificates.crt
exec "$@"
"""

    def __init__(self, aitui: CommandLine) -> None:
        self._aitui = aitui
        self._policy = aitui.home / "policy"
        Path("/etc/chromium").mkdir(exist_ok=True)

    async def run(self, *words: str) -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "sh", "-ec", self.SCRIPT, "sh", *words),
            env={
                **os.environ,
                **self._aitui.environment,
                "HOME": str(self._aitui.home),
                "POLICY": str(self._policy),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return out.decode(), err.decode()

    async def open(self) -> str:
        """What Chromium shows of llama-swap's page, and why it doesn't."""
        data = f"--user-data-dir={self._aitui.home}/data"
        options = ("--headless", "--no-sandbox", "--disable-gpu", data, "--dump-dom")
        page = f"{self._aitui.environment['AI_SERVER_URL']}/ui/"
        return "".join(await self.run("timeout", "15", "chromium", *options, page))

    async def doctor(self) -> dict[str, str]:
        """What the doctor sees of Chromium."""
        out, _ = await self.run(sys.executable, "-m", "aitui", "doctor", "--json")
        rows = json.loads(out)
        return {row["check"]: row["seen"] for row in rows if row["check"].startswith("Chromium ")}

    async def write_policy(self) -> None:
        done = await self._aitui.run("setup", "browser", "--policy")
        self._policy.write_text(done.out)


@pytest.mark.deployment
@pytest.mark.real_server("chromium")
@pytest.mark.real_server("caddy")
@pytest.mark.skipif(os.geteuid() != 0, reason="a policy folder of its own needs root")
async def test_chromium_opens_llama_swaps_page_after_what_the_doctor_names_is_done(
    aitui: CommandLine, caddy: Caddy
) -> None:
    aitui.environment["AI_SERVER_URL"] = caddy.url
    desk = Desk(aitui)
    assert "net_error -202" in await desk.open()  # ERR_CERT_AUTHORITY_INVALID
    trust = (await desk.doctor())["Chromium trust"]
    assert trust.startswith("red padlock: ")
    assert trust.endswith("and the system's trust has no effect")

    await aitui.run("setup", "browser", "--apply", "--yes")
    assert "<title>stub ui</title>" not in await desk.open()  # it waits for an answer
    found = await desk.doctor()
    assert "trusts Fox's Root CA and has the client certificate" in found["Chromium trust"]
    assert found["Chromium policy"].endswith("the browser asks on every page")

    await desk.write_policy()
    assert (await desk.doctor())["Chromium policy"].endswith(f"for {caddy.url}")
    assert "<title>stub ui</title>" in await desk.open()
