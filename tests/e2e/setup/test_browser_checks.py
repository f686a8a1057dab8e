"""The browsers in `aitui doctor`: each fault made with NSS's tools, and its remedy pasted."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aitui.domain.checks import CheckStatus
from aitui.domain.snapshot import Server
from aitui.services.doctor.browser import check_browsers
from e2e.caddy.openssl import Guide, Pair
from services.doctor.examined import Report, reported

pytestmark = [pytest.mark.real_server("libnss3-tools"), pytest.mark.real_server("openssl")]

URL = "https://ai.example.org"
POLICIES = "etc/chromium/policies/managed"
USER, FLATPAK = ".pki/nssdb", ".var/app/com.brave.Browser/.pki/nssdb"


class Desk:
    """A machine with Chromium and the Brave Flatpak, a home, and /etc of its own."""

    def __init__(self, folder: Path, certs: Path) -> None:
        self.pair, self.ca = (
            Pair(certs / "client.pem", certs / "client-key.pem"),
            certs / "root-ca.pem",
        )
        self.server = Server(
            URL,
            identity="desk",
            ca=self.ca,
            client_cert=self.pair.certificate,
            client_key=self.pair.key,
        )
        self.root, self.home, self.tools = folder / "root", folder / "home", folder / "bin"
        (self.home / ".var/app/com.brave.Browser").mkdir(parents=True)
        (self.root / "etc/ssl/certs").mkdir(parents=True)
        self.tools.mkdir()
        self._write_tool("chromium", "exit 1")
        self._write_tool("aitui", f'exec {sys.executable} -m aitui "$@"')
        self._write_tool("sudo", f'exec install -D -m 644 "$5" "{self.root}$6"')
        self.environment = {"HOME": str(self.home), "PATH": f"{self.tools}:{os.environ['PATH']}"}

    def _write_tool(self, name: str, line: str) -> None:
        (self.tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.tools / name).chmod(0o755)

    def nss(self, store: str, command: str) -> None:
        """Run a command of NSS on a store."""
        folder = self.home / store
        if not folder.exists():
            folder.mkdir(parents=True)
            self.nss(store, "certutil -N --empty-password")
        name, *words = shlex.split(command)
        subprocess.run([name, "-d", f"sql:{folder}", *words], check=True, capture_output=True)

    def trust(self, store: str) -> None:
        self.nss(store, f"certutil -A -t CT,C,C -n root -i {self.ca}")

    def import_p12(self, store: str, name: str) -> None:
        self.nss(store, f"pk12util -i {self.ca.with_name(name)} -W ''")

    def pack_p12(self, name: str) -> Path:
        """Pack the client's files as today's OpenSSL does."""
        made, pair = self.ca.with_name(name), self.pair
        command = f"openssl pkcs12 -export -passout pass: -inkey {pair.key} -in {pair.certificate}"
        subprocess.run([*shlex.split(command), "-out", made], check=True, capture_output=True)
        return made

    def write_policy(self, text: str) -> Path:
        path = self.root / POLICIES / "mine.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def paste(self, command: str, answer: str = "") -> None:
        """Run a remedy in a shell; what it asks is answered by an option."""
        settings = {
            "AI_SERVER_URL": URL,
            "AI_SERVER_CA": str(self.ca),
            "AI_SERVER_CLIENT_CERT": str(self.pair.certificate),
            "AI_SERVER_CLIENT_KEY": str(self.pair.key),
        }
        shell = ("sh", "-ec", f"{command} {answer}")
        environment = {**self.environment, **settings}
        done = subprocess.run(shell, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    async def report(self) -> Report:
        return await reported(
            lambda report: check_browsers(self.server, self.environment, report, self.root)
        )


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates of the set-up guide."""
    guide = Guide(tmp_path_factory.mktemp("guide"))
    guide.client()
    return guide.root.parent


@pytest.fixture
def desk(tmp_path: Path, guide: Path) -> Desk:
    return Desk(tmp_path, Path(shutil.copytree(guide, tmp_path / "certs")))


async def test_a_machine_without_a_browser_has_nothing_wrong(desk: Desk) -> None:
    (desk.home / ".var/app/com.brave.Browser").rmdir()
    desk.environment["PATH"] = str(desk.tools.with_name("nothing"))
    report = await desk.report()
    assert report.failed == []
    assert report["browsers"].seen == "none of Chromium, Chrome and Brave is on this machine"
    assert "Chromium trust" not in report


async def test_a_browser_without_set_up_is_no_fault(desk: Desk) -> None:
    report = await desk.report()
    assert report.failed == []
    assert "Chromium, " in report["browsers"].seen
    assert "Brave Flatpak" in report["browsers"].seen
    assert report["Chromium trust"].remedy == "aitui setup browser --apply"


async def test_a_p12_of_todays_openssl_is_named_and_the_old_form_made(desk: Desk) -> None:
    made = desk.pack_p12("client.p12")
    check = (await desk.report())["browser p12"]
    assert check.status is CheckStatus.FAILED
    assert f"{made}: encrypted with AES" in check.seen
    assert "invalid or corrupt" in check.seen
    desk.paste(check.remedy)
    assert (await desk.report()).status("browser p12") is CheckStatus.PASSED
    desk.import_p12(USER, "client-legacy.p12")


async def test_a_red_padlock_is_explained_and_the_stores_filled(desk: Desk) -> None:
    body = desk.ca.read_text()
    (desk.root / "etc/ssl/certs/ca-certificates.crt").write_text(f"# others\n{body}")
    report = await desk.report()
    padlock, sandbox = report["Chromium trust"], report["Brave Flatpak trust"]
    assert report.failed == ["Chromium trust", "Brave Flatpak trust"]
    assert "red padlock: neither the Chrome Root Store nor ~/.pki/nssdb" in padlock.seen
    assert "the system's trust has no effect" in padlock.seen
    assert "the sandbox has a store of its own" in sandbox.seen
    assert sandbox.seen.endswith("the system's trust has no effect there")
    desk.paste(padlock.remedy, "--yes")
    report = await desk.report()
    assert report.failed == []
    assert "trusts Example Root CA and has the client" in report["Chromium trust"].seen
    assert report.status("Brave Flatpak trust") is CheckStatus.PASSED


async def test_the_flatpak_does_not_see_the_store_of_the_user(desk: Desk) -> None:
    desk.trust(USER)
    report = await desk.report()
    assert report.failed == ["Brave Flatpak trust"]
    assert report["Chromium trust"].seen.endswith("but has no client certificate")
    desk.trust(FLATPAK)
    assert (await desk.report()).failed == []


async def test_a_ca_in_the_store_without_trust_is_a_red_padlock(desk: Desk) -> None:
    desk.nss(USER, f"certutil -A -t ,, -n root -i {desk.ca}")
    desk.paste("aitui certs p12 --legacy")
    desk.import_p12(USER, "client-legacy.p12")
    assert "Chromium trust" in (await desk.report()).failed


UNREAD = {
    '{"AutoSelectCertificateForUrls": ["x"': "is not JSON",
    '{"AutoSelectCertificateForUrls": [{"pattern": "https://ai.example.org"}]}': (
        "must be a list of JSON texts, each in quotes"
    ),
    '{"AutoSelectCertificateForUrls": ["{pattern}"]}': "has a text that is not JSON",
    json.dumps({"AutoSelectCertificateForUrls": ['{"pattern":"https://ai.example.org"}']}): (
        "without pattern or filter"
    ),
    json.dumps({"AutoSelectCertificateForUrls": ['{"pattern":"https://b.c","filter":{}}']}): (
        "names no pattern for https://ai.example.org"
    ),
    json.dumps(
        {
            "AutoSelectCertificateForUrls": [
                '{"pattern":"https://[*.]example.org","filter":{"ISSUER":{"CN":"Other"}}}'
            ]
        }
    ): "names another issuer",
}


async def test_a_policy_that_chooses_nothing_is_replaced(desk: Desk) -> None:
    for policy, fault in UNREAD.items():
        path = desk.write_policy(policy)
        check = (await desk.report())["Chromium policy"]
        assert check.status is CheckStatus.FAILED
        assert check.seen.startswith("/etc/chromium/policies/managed/mine.json ")
        assert fault in check.seen
    desk.paste(check.remedy)
    assert "ai.example.org" in path.read_text()
    assert (await desk.report()).status("Chromium policy") is CheckStatus.PASSED


async def test_no_policy_asks_on_every_page_and_one_is_made(desk: Desk) -> None:
    desk.write_policy('{"HomepageLocation": "https://example.org"}')
    report = await desk.report()
    assert report.status("Chromium policy") is CheckStatus.OPEN
    assert "asks on every page" in report["Chromium policy"].seen
    for browser in ("Chromium", "Brave Flatpak"):
        desk.paste(report[f"{browser} policy"].remedy)
    report = await desk.report()
    assert report.status("Chromium policy") is CheckStatus.PASSED
    assert report["Brave Flatpak policy"].seen.startswith("/etc/brave/policies/managed/aitui.json")


async def test_a_pattern_may_cover_more(desk: Desk) -> None:
    for pattern in ("*", "https://*", "[*.]example.org", "https://ai.example.org:443"):
        choice = json.dumps({"pattern": pattern, "filter": {}})
        desk.write_policy(json.dumps({"AutoSelectCertificateForUrls": [choice]}))
        assert (await desk.report()).status("Chromium policy") is CheckStatus.PASSED
