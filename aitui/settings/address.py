"""The URL of a server: parsed, checked and normalized."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from aitui.settings.raw import RawValue

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@%-]*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LOCAL_SUFFIXES = (".local", ".lan", ".home.arpa", ".internal", ".localhost")


class ServerAddress(Struct, frozen=True):
    """A server's URL without user info, query and trailing slash, and its user info."""

    url: str
    user_info: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"ServerAddress({self.url!r})"  # without its password

    @property
    def uses_tls(self) -> bool:
        """Whether the URL is https."""
        return self.url.startswith("https:")


def read_address(given: RawValue) -> ServerAddress:
    """Parse a URL. Raises SettingsError that says what is expected."""
    if not isinstance(given.value, str):
        raise given.error("a URL in quotes, like https://ai.example.org")
    text = given.value.strip()
    shown = without_secrets(text)
    if not text.isascii():
        expected = "ASCII characters only; write other host names as xn--…, other paths with %"
        raise given.error(expected, shown=shown)
    if not text.isprintable() or " " in text:
        raise given.error("a URL without spaces, like https://ai.example.org", shown=shown)
    scheme, separator, rest = text.partition("://")
    if not separator or not rest.strip("/"):
        raise given.error(_suggest_url(shown), shown=shown)
    if scheme.lower() not in _DEFAULT_PORTS:
        raise given.error("http:// or https:// in front", shown=shown)
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise given.error("a host name or an address after ://", shown=shown) from error
    if "?" in text or "#" in text:
        raise given.error("a URL without query (?…) and fragment (#…)", shown=shown)
    host = _host(given, parts, shown)
    return ServerAddress(
        f"{parts.scheme}://{host}{_port(given, parts, shown)}{_prefix(given, parts, shown)}",
        _user_info(parts),
    )


def with_scheme(text: str) -> str:
    """Put http:// before a host of this machine or network, https:// before another one."""
    if re.match(r"https?:", text, re.IGNORECASE) or "://" in text:
        return text
    return f"{'http' if _is_local_host(text.rpartition('@')[2]) else 'https'}://{text}"


def without_secrets(text: str) -> str:
    """Return a URL, even a broken one, without what precedes its last @ and what follows its ? or #."""
    before, at, after = text.rpartition("@")
    scheme, separator, _ = before.partition("://")
    shown = f"{scheme + separator if separator else ''}…@{after}" if at else text
    # Keys stand there as well: `?api_key=…`.
    return re.sub(r"(?s)([?#]).+", r"\1…", shown)


def _suggest_url(shown: str) -> str:
    """Guess the scheme of a URL without one."""
    rest = re.sub(r"\Ahttps?:/*", "", shown, flags=re.IGNORECASE).removeprefix("…@").lstrip("/")
    if not rest:
        return "a URL with a host, like https://ai.example.org"
    scheme = re.match(r"(https?):", shown, re.IGNORECASE)
    fitting = scheme[1].lower() if scheme else ("http" if _is_local_host(rest) else "https")
    return f"a URL with its scheme, like {fitting}://{rest}"


def _is_local_host(rest: str) -> bool:
    """Whether a host without scheme is this machine or one of the local network."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].lower()
    host = authority[1:].partition("]")[0] if authority.startswith("[") else authority
    host = host if host.count(":") > 1 else host.partition(":")[0]
    address = _ip(host)
    if address is not None:
        return address.is_private or address.is_loopback or address.is_link_local
    return "." not in host or host.endswith(_LOCAL_SUFFIXES)


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _host(given: RawValue, parts: SplitResult, shown: str) -> str:
    host = (parts.hostname or "").lower()
    bracketed = parts.netloc.rpartition("@")[2].startswith("[")
    if bracketed:
        address = _ip(host)
        if not isinstance(address, IPv6Address) or address.scope_id:
            raise given.error("an IPv6 address without zone in brackets, like [::1]", shown=shown)
        return f"[{address.compressed}]"
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise given.error("a host name or an address after ://", shown=shown)
    if labels[-1].isdigit() and _ip(host) is None:
        raise given.error("an IPv4 address of four numbers up to 255", shown=shown)
    return host


def _port(given: RawValue, parts: SplitResult, shown: str) -> str:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise given.error("a port from 1 to 65535", shown=shown)
    return "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"


def _prefix(given: RawValue, parts: SplitResult, shown: str) -> str:
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or _BROKEN_ESCAPE.search(path):
        raise given.error("other characters in the path encoded with %", shown=shown)
    if {".", "..", ""} & set(path.split("/")[1:]):
        raise given.error("a path without . and .. and //", shown=shown)
    return path


def _user_info(parts: SplitResult) -> tuple[str, str] | None:
    if not parts.username and not parts.password:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")
