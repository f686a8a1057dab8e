"""The browser set-up of one server, read from its certificate files; stores of this machine filled."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from aitui.domain.checks import CheckResult, passing_check
from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Server
from aitui.domain.setup.browser import (
    BROWSERS,
    FLATPAK,
    FLATPAK_STORE,
    USER_STORE,
    Browser,
    BrowserSetup,
)
from aitui.errors import HostError, SettingsError
from aitui.host.base import Host
from aitui.llamaswap.certificates import CA, CERTIFICATE, read_certificates
from aitui.paths import abbreviate_home, home_directory

P12 = "client-legacy.p12"
_STORE_SECONDS = 60.0
_FLATPAK_FOLDERS = (
    *(f"~/.var/app/{FLATPAK}", f"~/.local/share/flatpak/app/{FLATPAK}"),
    f"/var/lib/flatpak/app/{FLATPAK}",
)


def read_browser_setup(server: Server) -> BrowserSetup:
    """Read the certificates' names; blocks. Raises CertificateFileError, and SettingsError without any."""
    from cryptography.x509.oid import NameOID

    if not server.url.startswith("https:") or server.client_cert is None or server.ca is None:
        raise SettingsError(
            f"{server.label} needs no certificate in a browser",
            remedy="choose a server with an https URL, ca and client_cert",
        )
    authority = read_certificates(CA, server.ca)[0].subject
    issuer = read_certificates(CERTIFICATE, server.client_cert)[0].issuer
    names = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}
    parts = {
        short: sanitize_line(str(found[0].value), 200)
        for short, oid in names.items()
        if (found := issuer.get_attributes_for_oid(oid))
    }
    common = authority.get_attributes_for_oid(NameOID.COMMON_NAME)
    return BrowserSetup(
        url=server.url,
        ca=_show_path(server.ca),
        ca_name=sanitize_line(str(common[0].value), 200) if common else "llama-swap CA",
        certificate=_show_path(server.client_cert),
        key=_show_path(server.client_key or server.client_cert),
        p12=_show_path(server.client_cert.with_name(P12)),
        issuer=parts,
    )


def find_browsers(environment: Mapping[str, str]) -> tuple[Browser, ...]:
    """Return the browsers of Chromium's family on this machine; blocks."""
    home, path = home_directory(environment), environment.get("PATH", "")
    flatpak = any((home / folder.removeprefix("~/")).is_dir() for folder in _FLATPAK_FOLDERS)
    return tuple(
        browser
        for browser in BROWSERS
        if any(shutil.which(name, path=path) for name in browser.programs)
        or (flatpak and browser.store == FLATPAK_STORE)
    )


def find_stores(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the NSS stores of the browsers on this machine; blocks."""
    found = [browser.store for browser in find_browsers(environment)]
    if (home_directory(environment) / ".pki" / "nssdb").is_dir():
        found.append(USER_STORE)
    return tuple(dict.fromkeys(found))


async def fill_store(host: Host, setup: BrowserSetup, store: str) -> CheckResult:
    """Put CA and client certificate into a store. Raises HostError."""
    commands = setup.p12_commands() + setup.store_commands(store)
    done = await host.run(("sh", "-ec", commands), seconds=_STORE_SECONDS)
    if done.status:
        remedy = (
            "certutil and pk12util are in the package libnss3-tools" if done.status == 127 else ""
        )
        what = f"The store {store} was not filled"
        raise HostError(what, why=done.last_line, remedy=remedy)
    return passing_check("store", f"{store} has {setup.ca_name} and the client's certificate")


def _show_path(path: Path) -> str:
    return abbreviate_home(path.expanduser().absolute(), Path.home())
