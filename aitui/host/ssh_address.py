"""Where `ssh_host` points: `user@host`, `user@host:port`, an alias, `[v6]:port`."""

import re
from dataclasses import dataclass

from aitui.domain.clean import sanitize_line
from aitui.errors import HostError

_FORM = re.compile(
    r"""(?:(?P<user>[^@\s:]+)@)?
        (?: \[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\] | (?P<host>[^\s\[\]:@/]+) | (?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*) )
        (?::(?P<port>\d{1,5}))?""",
    re.VERBOSE,
)
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class SshAddress:
    """What was asked for. `host` may be an alias; what isn't given is left to the SSH config."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> "SshAddress":
        """Raises HostError where it is no such form."""
        match = _FORM.fullmatch(text.strip().removeprefix("ssh://"))
        port = int(match["port"]) if match and match["port"] else None
        host = "" if match is None else match["bracketed"] or match["host"] or match["bare"]
        # A leading dash would be an option to whatever is started with it.
        is_option = host.startswith("-") or (match is not None and (match["user"] or "")[:1] == "-")
        if match is None or is_option or (port is not None and not 0 < port <= _LARGEST_PORT):
            raise HostError(
                f"{sanitize_line(text, 100)} is no SSH address",
                remedy="set ssh_host to user@host, user@host:port, or a Host of ~/.ssh/config",
            )
        return cls(host, match["user"], port)
