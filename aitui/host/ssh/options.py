"""What the files of ssh_config(5) say about a machine, read as OpenSSH reads them (readconf.c).

asyncssh's reader refuses a comment behind a value, forgets the block that an Include stands in, and
begins from nothing in the pass of `Match final`, where OpenSSH keeps what the first one found.
"""

import getpass
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from aitui.host.ssh.address import SshAddress, SshConfigPaths
from aitui.paths import require_no_fifo

_LARGEST_FILE = 1 << 20
_DEEPEST_INCLUDE = 16
_EXEC_SECONDS = 20.0
_LINE = re.compile(r'\s*"?([A-Za-z0-9]+)"?(?:\s*=\s*|\s+)(.*)', re.DOTALL)
_ESCAPED = re.compile(r"\\(['\"\\ ])")
_TRUE, _FALSE = ("yes", "true"), ("no", "false")
_LISTS = ("identityfile", "certificatefile")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class SshOption(Struct, frozen=True):
    """One value: its words, the rest of its line as written, and the line's place."""

    words: tuple[str, ...]
    raw: str
    origin: str


class SshOptions:
    """The options for one machine, by their lower-case names; Blocks while it reads.

    Raises ValueError with file and line for what OpenSSH would refuse, and OSError.
    """

    def __init__(self, address: SshAddress, paths: SshConfigPaths) -> None:
        self.host = address.host
        self._address = address
        self._paths = paths
        try:
            self._local_user = getpass.getuser()
        except KeyError as error:  # a container's login without an entry in passwd
            raise ValueError("this login has no user name: set USER") from error
        self._found: dict[str, list[SshOption]] = {}
        self._wants_final = False
        for name, given in (("user", address.user), ("port", address.port)):
            if given is not None:
                self._found[name] = [SshOption((str(given),), str(given), "ssh_host")]
        self._read_files(final=False)
        self.host = self._final_host().lower()
        if self.flag("canonicalizehostname", "always"):
            self.host = self._canonical_host()
            self._wants_final = True
        if self._wants_final:
            self._found["hostname"] = [SshOption((self.host,), self.host, "")]
            self._read_files(final=True)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> SshOption:
        return self._found[name][0]

    def text(self, name: str) -> str:
        """Return the value of an option that takes one word, "" if it is unset or `none`."""
        word = self._found[name][0].words[0] if name in self._found else ""
        return "" if word.lower() == "none" else word

    def words(self, name: str) -> tuple[str, ...] | None:
        """Return all words of an option, of every line of one that adds up; None if it is unset."""
        if name not in self._found:
            return None
        given = [word for option in self._found[name] for word in option.words]
        return tuple(word for word in given if word.lower() != "none")

    def flag(self, name: str, *also_true: str) -> bool:
        """Return a yes or no; no if it is unset."""
        if name not in self._found:
            return False
        word = self.text(name).lower()
        if word not in (*_TRUE, *_FALSE, *also_true):
            raise ValueError(f"{self[name].origin}: {name} must be yes or no, not {word}")
        return word not in _FALSE

    @property
    def port(self) -> int:
        """The port."""
        text = self.text("port") or "22"
        if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
            raise ValueError(f"{self['port'].origin}: {text} is not a port")
        return int(text)

    @property
    def user(self) -> str:
        """The user that logs in."""
        return self.text("user") or self._local_user

    @property
    def command(self) -> str:
        """The ProxyCommand, its tokens expanded; "" without one."""
        raw = self["proxycommand"].raw if "proxycommand" in self else ""
        return "" if raw.lower() == "none" else self._expand_tokens(raw)

    def seconds(self, name: str) -> int | None:
        """Return a time such as `90` or `1m30s`, None if it is unset."""
        if not (text := self.text(name).lower()):
            return None
        if not re.fullmatch(r"(?:[0-9]{1,9}[smhdw])*[0-9]{0,9}", text):
            raise ValueError(f"{self[name].origin}: {text} is not a duration")
        parts = re.findall(r"([0-9]+)([smhdw]?)", text)
        return sum(int(number) * _UNITS[unit] for number, unit in parts)

    def path(self, word: str) -> Path:
        """Expand `~`, `%` and `${…}` in a path."""
        word = re.sub(r"\$\{(\w+)\}", lambda name: os.environ.get(name[1], name[0]), word)
        return self._paths.expand(self._expand_tokens(word))

    def _final_host(self) -> str:
        known = {"%": "%", "h": self._address.host}
        name = re.sub("%([%h])", lambda token: known[token[1]], self.text("hostname"))
        return name or self._address.host

    def _canonical_host(self) -> str:
        """Return the first name below CanonicalDomains that has an address."""
        is_direct = "proxycommand" not in self and not self.text("proxyjump")
        dots = int(self.text("canonicalizemaxdots") or 1)
        always = self.text("canonicalizehostname").lower() == "always"
        if (is_direct or always) and self.host.count(".") <= dots:
            for domain in self.words("canonicaldomains") or ():
                name = f"{self.host.removesuffix('.')}.{domain}".lower()
                try:
                    socket.getaddrinfo(name, self.port)
                except (OSError, UnicodeError):
                    continue
                return name
        return self.host

    def _expand_tokens(self, text: str) -> str:
        node = socket.gethostname()
        known: Mapping[str, str] = {
            "%": "%",
            "d": str(self._paths.home),
            "h": self.host,
            "n": self._address.host,
            "i": str(os.getuid()),
            "k": self.text("hostkeyalias") or self._address.host,
            "L": node.partition(".")[0],
            "l": node,
            "p": str(self.port),
            "r": self.user,
            "u": self._local_user,
            "j": self.text("proxyjump"),
        }
        return re.sub("%(.)", lambda token: known.get(token[1], token[0]), text)

    def _read_files(self, *, final: bool) -> None:
        if self._paths.config.exists():
            folder = self._paths.home / ".ssh"
            self._read_file(self._paths.config, folder, [True], final=final)
        if self._paths.system is not None and (self._paths.system / "ssh_config").is_file():
            folder = self._paths.system
            self._read_file(folder / "ssh_config", folder, [True], final=final)

    def _read_file(
        self, path: Path, folder: Path, active: list[bool], *, final: bool, depth: int = 0
    ) -> None:
        """Read one file. The last of `active` says whether its lines hold, the others never end."""
        if depth > _DEEPEST_INCLUDE:
            raise ValueError(f"{path}: too many files include each other")
        require_no_fifo(path)
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE).decode(errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            found = _LINE.fullmatch(line.strip())
            if found is None or line.lstrip().startswith("#"):
                continue
            name, raw, origin = found[1].lower(), found[2], f"{path} line {number}"
            option = SshOption(tuple(_split_words(raw, origin)), raw, origin)
            if not option.words:
                raise ValueError(f"{origin}: {found[1]} has no value")
            if name == "host":
                # In the final pass the host is the name found by the first one.
                active[-1] = all(active[:-1]) and _fits_any(self.host, option.words)
            elif name == "match":
                holds = self._matches(option, final=final)
                active[-1] = all(active[:-1]) and holds
            elif name == "include":
                for other in self._find_includes(option.words, folder):
                    states = [*active, active[-1]]
                    self._read_file(other, folder, states, final=final, depth=depth + 1)
            elif all(active):
                self._add(name, option)

    def _add(self, name: str, option: SshOption) -> None:
        """Keep the first value; of two ways to be reached by others, the first one as well."""
        if name in ("proxyjump", "proxycommand"):
            taken = "proxyjump" in self or "proxycommand" in self
        elif name in _LISTS:
            taken = option.words[0] in (self.words(name) or ())
        else:
            taken = name in self
        if not taken:
            self._found.setdefault(name, []).append(option)

    def _find_includes(self, patterns: tuple[str, ...], folder: Path) -> Iterator[Path]:
        for pattern in patterns:
            wanted = folder / self._paths.expand(pattern)
            matching = Path(wanted.anchor).glob(str(wanted.relative_to(wanted.anchor)))
            yield from (found for found in sorted(matching) if found.is_file())

    def _matches(self, option: SshOption, *, final: bool) -> bool:
        result = True
        words = list(option.words)
        while words:
            word, has_value, value = words.pop(0).partition("=")
            negated, attribute = word.startswith("!"), word.removeprefix("!").lower()
            if attribute == "all":
                holds = True
            elif attribute in ("canonical", "final"):
                self._wants_final |= attribute == "final"
                holds = final
            elif has_value or words:
                value = value if has_value else words.pop(0)
                holds = result and self._criterion(attribute, value, option.origin)
            else:
                raise ValueError(f"{option.origin}: Match {attribute} has no value")
            result = result and holds != negated
        return result

    def _criterion(self, attribute: str, value: str, origin: str) -> bool:
        if attribute == "exec":
            shell = os.environ.get("SHELL") or "/bin/sh"
            command = [shell, "-c", self._expand_tokens(value)]
            try:
                return not subprocess.run(  # noqa: S603 - the user's own line, as OpenSSH runs it
                    command,
                    check=False,
                    capture_output=True,
                    stdin=subprocess.DEVNULL,
                    timeout=_EXEC_SECONDS,
                ).returncode
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ValueError(f"{origin}: Match exec can't run: {error}") from error
        texts = {
            "host": self._final_host().lower(),
            "originalhost": self._address.host.lower(),
            "user": self.user,
            "localuser": self._local_user,
            "tagged": self.text("tag"),
            "command": "",
            "sessiontype": "exec",
        }
        if attribute not in texts:
            raise ValueError(f"{origin}: Match {attribute} is not supported here")
        patterns = (value.lower() if "host" in attribute else value).split(",")
        return _fits_any(texts[attribute], patterns)


def _fits_any(text: str, patterns: Sequence[str]) -> bool:
    is_denied = any(_fits(text, one[1:]) for one in patterns if one[:1] == "!")
    return not is_denied and any(_fits(text, one) for one in patterns)


def _fits(text: str, pattern: str) -> bool:
    # `re` with `.*` for each `*` takes the length of the text to the power of their number.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _split_words(text: str, origin: str) -> Iterator[str]:
    """Split a value as OpenSSH's argv_split: quotes of both kinds, and a comment at a word's start."""
    at = 0
    while at < len(text):
        if text[at] in " \t\r\f":
            at += 1
            continue
        if text[at] == "#":
            return
        word, quote = "", ""
        while at < len(text) and (quote or text[at] not in " \t\r\f"):
            escaped = _ESCAPED.match(text, at)
            if escaped and (escaped[1] != " " or not quote):
                word += escaped[1]
                at += 2
                continue
            if text[at] in "\"'" and quote in ("", text[at]):
                quote = "" if quote else text[at]
            else:
                word += text[at]
            at += 1
        if quote:
            raise ValueError(f"{origin}: a quote is not closed")
        yield word


def asyncssh_options(options: SshOptions, names: tuple[str, ...]) -> str:
    """Write these options for asyncssh's reader, one a line."""
    lines = []
    for name in names:
        if name.startswith("serveralive") or name == "connecttimeout":
            lines += [f"{name} {value}" for value in [options.seconds(name)] if value is not None]
        elif name in options:
            lines.append(f"{name} {shlex.join(options[name].words)}")
    return "".join(f"{line}\n" for line in lines)
