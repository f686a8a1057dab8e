"""The browsers of this machine: the file they import, their stores, and their policy."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.checks import (
    CheckResult,
    defect_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.sanitize import sanitize_line
from aitui.domain.setup.browser import FLATPAK_STORE, Browser, BrowserSetup
from aitui.domain.snapshot import Server
from aitui.errors import AituiError, HostError, NoSuchFile
from aitui.host.local import LocalHost
from aitui.llamaswap.certificates import CA, CERTIFICATE, read_certificates
from aitui.paths import format_path, home_directory
from aitui.services.doctor.checkup import Report
from aitui.services.setup.browser import find_browsers, read_browser_setup

BROWSERS = "browsers"
P12 = "browser p12"

_FILL = "aitui setup browser --apply"
_STEPS = "aitui setup browser prints the steps"
_LARGEST_FILE = 1 << 20
_MOST_CERTIFICATES = 100
_TRUST = re.compile(r"[a-zA-Z]*(?:,[a-zA-Z]*){2}")
_SYSTEM_TRUST = "etc/ssl/certs/ca-certificates.crt"


class _StoredCertificates(Struct, frozen=True):
    """What an NSS store has: whether it trusts the CA for servers, and has the client's certificate.

    `trouble` is why it can't be read.
    """

    trouble: str = ""
    trusts_ca: bool = False
    has_client: bool = False


class _ExpectedFiles(Struct, frozen=True):
    """The CA and the client's certificate as DER, and what a browser needs for them."""

    setup: BrowserSetup
    ca: bytes
    client: bytes


async def check_browsers(
    server: Server, environment: Mapping[str, str], report: Report, root: Path = Path("/")
) -> None:
    """Check the browsers that are found for a server behind client certificates.

    Nothing is wrong on a machine without a browser, nor with a browser that has neither certificate.
    `root` is the directory of the machine's policies and trust.
    """
    if not server.url.startswith("https:") or server.ca is None or server.client_cert is None:
        report(inconclusive_check(BROWSERS, "not checked: the server needs no certificate there"))
        return
    browsers = await asyncio.to_thread(find_browsers, environment)
    if not browsers:
        seen = "none of Chromium, Chrome and Brave is on this machine"
        report(inconclusive_check(BROWSERS, seen, f"on the browser's machine, {_STEPS}"))
    else:
        report(passing_check(BROWSERS, ", ".join(browser.name for browser in browsers)))
    try:
        wanted = await asyncio.to_thread(
            _read_expected_files, server, server.ca, server.client_cert
        )
    except AituiError as error:
        report(inconclusive_check(P12, f"not checked: {error.what}"))
        return
    report(await asyncio.to_thread(_p12_check, server.client_cert.expanduser().parent))
    is_known = await asyncio.to_thread(_is_in_system_trust, root / _SYSTEM_TRUST, server.ca)
    async with LocalHost(home_directory(environment)) as host:
        stores = {
            browser.store: await _read_store(host, browser.store, wanted) for browser in browsers
        }
    for browser in browsers:
        report(_trust_check(browser, wanted.setup.ca_name, stores, is_known=is_known))
        report(await asyncio.to_thread(_policy_check, browser, wanted.setup, root))


def _read_expected_files(server: Server, ca: Path, client: Path) -> _ExpectedFiles:
    from cryptography.hazmat.primitives.serialization import Encoding

    return _ExpectedFiles(
        read_browser_setup(server),
        read_certificates(CA, ca)[0].public_bytes(Encoding.DER),
        read_certificates(CERTIFICATE, client)[0].public_bytes(Encoding.DER),
    )


def _p12_check(folder: Path) -> CheckResult:
    """Check that one of the files that browsers import has the old encryption."""
    from aitui.domain.certs import p12_form

    modern: list[str] = []
    read: list[str] = []
    for path in sorted(folder.glob("*.p12")) + sorted(folder.glob("*.pfx")):
        try:
            with path.open("rb") as file:
                form = p12_form(file.read(_LARGEST_FILE))
        except OSError:  # `aitui certs check` reports it
            continue
        (modern if form == "modern" else read).append(format_path(path))
    if read:
        return passing_check(P12, f"{', '.join(read)}: browsers can read it")
    if modern:
        seen = (
            f"{', '.join(modern)}: encrypted with AES, which browsers call invalid or corrupt; "
            "they want the old encryption"
        )
        return defect_check(P12, seen, f"aitui certs p12 --legacy --dir {format_path(folder)}")
    seen = f"there is none in {format_path(folder)}"
    return inconclusive_check(P12, seen, f"for a browser: {_FILL}")


def _trust_check(
    browser: Browser, ca: str, stores: Mapping[str, _StoredCertificates], *, is_known: bool
) -> CheckResult:
    """Check that a browser trusts the CA; `is_known` if the system's trust store has it."""
    name, store = f"{browser.name} trust", stores[browser.store]
    if store.trouble:
        return inconclusive_check(name, store.trouble, "sudo apt install libnss3-tools")
    if store.trusts_ca and store.has_client:
        return passing_check(name, f"{browser.store} trusts {ca} and has the client certificate")
    if store.trusts_ca:
        seen = f"{browser.store} trusts {ca}, but has no client certificate"
        return inconclusive_check(name, seen, _FILL)
    if browser.store == FLATPAK_STORE:
        seen = f"the sandbox has a store of its own, {browser.store}, which does not trust {ca}"
        seen += "; the system's trust has no effect there" if is_known else ""
    else:
        seen = f"red padlock: neither the Chrome Root Store nor {browser.store} trusts {ca}"
        seen += ", and the system's trust has no effect" if is_known else ""
    is_tried = is_known or any(one.trusts_ca or one.has_client for one in stores.values())
    check = defect_check if is_tried else inconclusive_check
    return check(name, seen, _FILL)


async def _read_store(host: LocalHost, folder: str, wanted: _ExpectedFiles) -> _StoredCertificates:
    """Look for both certificates in an NSS store; it has none if it doesn't exist."""
    try:
        store = ("certutil", "-d", f"sql:{await host.resolve(folder)}", "-L")
        done = await host.run(store)
        found = _StoredCertificates("certutil is missing" if done.status == 127 else "")
        for line in done.stdout.decode("utf-8", "replace").split("\n")[:_MOST_CERTIFICATES]:
            name, _, trust = line.rstrip().rpartition(" ")
            if not _TRUST.fullmatch(trust):
                continue
            der = (await host.run((*store, "-n", name.rstrip(), "-r"))).stdout
            is_trusted = "C" in trust.partition(",")[0]
            found = replace(
                found,
                trusts_ca=found.trusts_ca or (der == wanted.ca and is_trusted),
                has_client=found.has_client or (der == wanted.client and "u" in trust),
            )
    except NoSuchFile:
        return _StoredCertificates()
    except HostError as error:
        return _StoredCertificates(error.what)
    return found


def _is_in_system_trust(bundle: Path, ca: Path) -> bool:
    try:
        lines = "".join(ca.expanduser().read_text().split("-----")[2:3]).split()
        return bool(lines) and "".join(lines) in "".join(bundle.read_text().split())
    except (OSError, UnicodeDecodeError):
        return False


def _policy_check(browser: Browser, setup: BrowserSetup, root: Path) -> CheckResult:
    """Check the files in the browser's folder of managed policies."""
    name, folder = f"{browser.name} policy", root / browser.policies.lstrip("/")
    shown, faults = f"{browser.policies}/aitui.json", []
    for path in sorted(folder.glob("*.json")):
        place = f"{browser.policies}/{sanitize_line(path.name, 100)}"
        fault = _read_policy(path, setup)
        if fault == "":
            return passing_check(name, f"{place} chooses the certificate for {setup.origin}")
        if fault is not None:
            faults.append(f"{place} {fault}")
            shown = place
    remedy = f"aitui setup browser --policy | sudo install -D -m 644 /dev/stdin {shown}"
    if faults:
        return defect_check(name, "; ".join(faults), remedy)
    seen = f"no file in {browser.policies} chooses the certificate: the browser asks on every page"
    return inconclusive_check(name, seen, remedy)


def _read_policy(path: Path, setup: BrowserSetup) -> str | None:
    try:
        with path.open("rb") as file:
            return setup.policy_fault(file.read(_LARGEST_FILE))
    except OSError as error:
        return f"can't be read: {sanitize_line(error.strerror or str(error), 100)}"
