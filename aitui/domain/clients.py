"""Names for the clients of requests, by address and program."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from aitui.domain.models import ActiveRequest
from aitui.domain.sanitize import sanitize_line

THIS_CHAT = "this chat"
LARGEST_HOSTS_FILE = 1 << 20
_LONGEST_PROGRAM = 32
_LONGEST_HOST = 64
# Compiled when the first client is named: the first frame has none.
_AITUI = r"aitui/\S+ \((?P<who>[^);]+)"
_PRODUCT = r"[^/(;]+"


class ClientNames(Struct, frozen=True):
    """Names by address: those of `[clients]` in config.toml, then those of this machine.

    `own_agent` is the User-Agent of this process.
    """

    configured: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    own_agent: str = ""

    def label(self, address: str, user_agent: str = "") -> str:
        """Return name and program of a client: `laptop · pi`; another aitui by its user.

        Both are claims: the server believes X-Forwarded-For and X-Real-IP of any client.
        """
        if user_agent and user_agent == self.own_agent:
            return THIS_CHAT
        if aitui := re.match(_AITUI, user_agent):
            return f"{aitui['who']} · aitui"
        product = re.match(_PRODUCT, user_agent)
        program = product.group().strip()[:_LONGEST_PROGRAM] if product else ""
        parts = (self.host(address), program)
        return " · ".join(part for part in parts if part) or "an unnamed client"

    def host(self, address: str) -> str:
        """Return the name of an address, else the address."""
        if not self.configured and not self.hosts:
            return address
        known = normalize_address(address)
        return self.configured.get(known) or self.hosts.get(known) or address


def client_name(request: ActiveRequest) -> str:
    """Return name and program of a request's client."""
    return request.who or ClientNames().label(request.client, request.user_agent)


def normalize_address(text: str) -> str:
    """Return an IP address as it is compared, IPv4 within IPv6 as IPv4; "" for none."""
    from ipaddress import IPv6Address, ip_address  # 3 ms, and few need it

    try:
        found = ip_address(text.strip())
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def parse_hosts(lines: Iterable[str]) -> dict[str, str]:
    """Return the names in `/etc/hosts` by address, the shortest of each; the first line counts."""
    found: dict[str, str] = {}
    for line in lines:
        address, *names = line.partition("#")[0].split() or ("",)
        if names and (known := normalize_address(address)):
            found.setdefault(known, sanitize_line(min(names, key=len), _LONGEST_HOST))
    return found
