"""A Caddyfile: its sites, and the block that puts llama-swap behind client certificates."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from msgspec import Struct

CERTS_FOLDER = "/etc/caddy/certs"
CERTIFICATE_FILES = ("caddy.pem", "caddy-key.pem", "root-ca.pem")
"""The proxy's certificate, its key, and the authority of the clients, in the folder `certs`."""
CONTAINER_FOLDER = "/etc/caddy"
# A brace opens a block only as a word of its own: `{$NAME}` and `{host}` are placeholders.
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|#[^\n]*|\n|[^\s"`#]\S*|["`]')
_DEFAULT_PORT = {"": "443", "https": "443", "http": "80"}


class Site(Struct, frozen=True):
    """A block of a Caddyfile: its addresses as `host:port`, and its words."""

    addresses: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def requires_certificates(self) -> bool:
        """Whether only clients with a certificate get in."""
        return "require_and_verify" in self.words


def site_address(url: str) -> str:
    """Return the address under which a site serves this URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in {None, 443} else f"{host}:{parts.port}"


def caddy_block(url: str, upstream: str, certs: str = CERTS_FOLDER) -> str:
    """Return the site of an https URL; `upstream` is llama-swap's `host:port`.

    Nothing is held back: Caddy flushes event streams at once by itself, and logs, which are plain text,
    only with `flush_interval -1`.
    """
    certificate, key, authority = (f"{certs}/{name}" for name in CERTIFICATE_FILES)
    proxy = [f"reverse_proxy {upstream} {{", "\tflush_interval -1", "}"]
    prefix = urlsplit(url).path.rstrip("/")
    if prefix:
        proxy = [f"handle_path {prefix}/* {{", *(f"\t{line}" for line in proxy), "}"]
    lines = (
        f"tls {certificate} {key} {{",
        "\tclient_auth {",
        "\t\tmode require_and_verify",
        f"\t\ttrusted_ca_cert_file {authority}",
        "\t}",
        "}",
        *proxy,
    )
    return "\n".join([f"{site_address(url)} {{", *(f"\t{line}" for line in lines), "}"]) + "\n"


def find_site(text: str, url: str) -> Site | None:
    """Return the site that serves this URL's host and port."""
    wanted = _normalize_address(site_address(url))
    return next((site for site in read_sites(text) if wanted in site.addresses), None)


def read_sites(text: str) -> Iterator[Site]:
    """Yield the sites of a Caddyfile that stand in braces."""
    head: list[str] = []
    body: list[str] = []
    depth = 0
    for word in _words(text):
        if word == "{":
            depth += 1
        elif word == "}" and depth:
            depth -= 1
            if not depth:
                addresses = " ".join(head).replace(",", " ").split()
                yield Site(tuple(map(_normalize_address, addresses)), tuple(body))
                head, body = [], []
        elif depth:
            body.append(word)
        elif word != "\n":
            head.append(word)
        elif head and not head[-1].endswith(","):
            head = []  # `import`, or a site without braces


def has_site_without_braces(text: str) -> bool:
    """Whether the file is one site without braces, behind which no other can stand."""
    line: list[str] = []
    depth = 0
    for word in _words(text):
        if word in {"{", "}"}:
            depth += 1 if word == "{" else -1
            line = []
        elif word != "\n":
            line.append(word)
        elif not depth and line and line[0] != "import" and not line[-1].endswith(","):
            return True
        else:
            line = []
    return False


def _words(text: str) -> Iterator[str]:
    for found in _WORD.finditer(f"{text}\n"):
        if not found[0].startswith("#"):
            yield found[0].strip('"`') or "\n"


def _normalize_address(address: str) -> str:
    scheme, _, rest = address.rpartition("://")
    host = rest.partition("/")[0].lower()
    has_port = re.search(r":\d+\Z", host)
    return host if has_port else f"{host}:{_DEFAULT_PORT.get(scheme.lower(), '443')}"
