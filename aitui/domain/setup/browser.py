"""A browser behind client certificates: its policy, its stores, and the steps in its windows."""

import json
import shlex
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from aitui.domain.setup.shell import shell_path

FLATPAK = "com.brave.Browser"
FLATPAK_STORE = f"~/.var/app/{FLATPAK}/.pki/nssdb"
"""The store of the Brave Flatpak: the system's trust has no effect there."""
USER_STORE = "~/.pki/nssdb"
"""The store of Chromium, Chrome and Brave, if they are installed as packages."""
_BRAVE = "/etc/brave/policies/managed"
_POLICY_FILE = "aitui-policy.json"
POLICY = "AutoSelectCertificateForUrls"


class Browser(Struct, frozen=True):
    """A browser that trusts the Chrome Root Store and an NSS store, and reads managed policies.

    `programs` are its names on the search path, none for a Flatpak.
    """

    name: str
    programs: tuple[str, ...]
    policies: str
    store: str = USER_STORE


BROWSERS = (
    Browser("Chromium", ("chromium", "chromium-browser"), "/etc/chromium/policies/managed"),
    Browser(
        "Chrome", ("google-chrome", "google-chrome-stable"), "/etc/opt/chrome/policies/managed"
    ),
    Browser("Brave", ("brave-browser", "brave"), _BRAVE),
    Browser("Brave Flatpak", (), _BRAVE, FLATPAK_STORE),
)


class BrowserSetup(Struct, frozen=True):
    """What a browser needs for one URL: the files, the name of the CA, and the client's issuer.

    `issuer` has what the policy compares: CN, O, OU or L of the issuer. `p12` is the file that browsers
    import, made of `certificate` and `key`.
    """

    url: str
    ca: str
    ca_name: str
    certificate: str
    key: str
    p12: str
    issuer: Mapping[str, str]

    @property
    def origin(self) -> str:
        """The URL's scheme, host and port, without the default port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def policy(self) -> str:
        """The policy that lets Chromium's family choose the certificate without asking, as JSON.

        It is a list of JSON texts, not of objects: as objects it is malformed, and asks again.
        """
        choice = {"pattern": self.origin, "filter": {"ISSUER": dict(self.issuer)}}
        texts = [json.dumps(choice, separators=(",", ":"), ensure_ascii=False)]
        return json.dumps({POLICY: texts}, indent=2, ensure_ascii=False)

    def policy_fault(self, content: bytes) -> str | None:
        """Return why a policy file doesn't choose the certificate, "" if it does.

        None if it doesn't have that policy at all.
        """
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return "is not JSON, so the browser ignores it"
        if not isinstance(found, dict) or POLICY not in found:
            return None
        reason, own = f"names no pattern for {self.origin}", self.issuer
        try:
            for pattern, issuer in _read_choices(found[POLICY]):
                if _is_covered(pattern, self.origin):
                    if all(own.get(part, value) == value for part, value in issuer.items()):
                        return ""
                    reason = f"names another issuer for {self.origin}"
        except (ValueError, RecursionError) as error:
            return f"is malformed: {POLICY} {error}"
        return reason

    def p12_commands(self) -> str:
        """Return the commands that pack certificate and key; NSS reads the old encryption only."""
        return (
            "( umask 077; openssl pkcs12 -export -legacy -passout pass: "
            f"-inkey {shell_path(self.key)} -in {shell_path(self.certificate)} "
            f"-certfile {shell_path(self.ca)} -out {shell_path(self.p12)} )\n"
        )

    def store_commands(self, store: str) -> str:
        """Return the commands that put both into an NSS store, which is made if it is missing."""
        path = shell_path(store)
        return (
            f"mkdir -p {path}\n"
            f"[ -e {path}/cert9.db ] || certutil -d sql:{_home_variable_path(path)} -N --empty-password\n"
            f"pk12util -d sql:{_home_variable_path(path)} -i {shell_path(self.p12)} -W ''\n"
            f"certutil -d sql:{_home_variable_path(path)} -A -t CT,C,C -n {shlex.quote(self.ca_name)} "
            f"-i {shell_path(self.ca)}\n"
        )

    def all_policy_commands(self) -> str:
        """Return the commands that install the policy for every browser; they need root."""
        folders = dict.fromkeys(browser.policies for browser in BROWSERS)
        installs = map(_install_policy, folders)
        return f"cat >{_POLICY_FILE} <<'EOF'\n{self.policy}\nEOF\n{''.join(installs)}"

    def steps(self) -> str:
        """Return all steps: what a shell does as commands, what a window asks for as comments."""
        return f"""\
# The file that browsers import, with an empty password
{self.p12_commands()}
# Firefox: Settings, Privacy & Security, View Certificates
#   Authorities, Import: {self.ca}
#     check "Trust this CA to identify websites" for {self.ca_name}
#   Your Certificates, Import: {self.p12} (the password is empty)

# Chromium, Chrome, Brave from version 137 on: brave://certificate-manager (chrome://…), Custom
#   Installed by you, Trusted Certificates, Import: {self.ca}
#   Your certificates, Import: {self.p12} (the password is empty)
# or in a shell, with the package libnss3-tools, while the browser is closed:
{self.store_commands(USER_STORE)}
# No question on every page of {self.origin}: the policy, of the browsers that you have
{self.all_policy_commands()}
# Brave as a Flatpak has a store of its own, and has to see the policy
{self.store_commands(FLATPAK_STORE)}\
{FLATPAK_COMMANDS}
# Restart the browser: brave://policy must say OK beside AutoSelectCertificateForUrls
"""


def _read_choices(texts: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield pattern and issuer of each text of the policy. Raises ValueError, RecursionError."""
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("must be a list of JSON texts, each in quotes")
    for text in texts:
        try:
            choice = json.loads(text)
            pattern, issuer = str(choice["pattern"]), choice["filter"].get("ISSUER", {})
        except ValueError as error:
            raise ValueError("has a text that is not JSON") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("has a text without pattern or filter") from error
        yield pattern, issuer if isinstance(issuer, dict) else {}


def _is_covered(pattern: str, origin: str) -> bool:
    """Whether a pattern of Chromium's policies covers an origin."""
    wanted, own = urlsplit(origin), pattern.rpartition("://")
    if own[0] not in {"", "*", wanted.scheme}:
        return False
    host, _, port = own[2].partition("/")[0].partition(":")
    if port not in {"", "*", str(wanted.port or 443)}:
        return False
    base = host.removeprefix("[*.]")
    name = wanted.hostname or ""
    return host == "*" or name == base or (host != base and name.endswith(f".{base}"))


def _install_policy(folder: str) -> str:
    return f"sudo install -D -m 644 {_POLICY_FILE} {folder}/aitui.json\n"


FLATPAK_COMMANDS = f"""\
flatpak override --user {FLATPAK} --filesystem=/etc/brave:ro
{_install_policy(_BRAVE)}\
flatpak kill {FLATPAK}
"""
"""What lets the Brave Flatpak see the policy, once its file is there."""


def _home_variable_path(path: str) -> str:
    """Write `~/` as `$HOME`, which a shell also expands behind `sql:`."""
    return f'"$HOME"/{path[2:]}' if path.startswith("~/") else path
