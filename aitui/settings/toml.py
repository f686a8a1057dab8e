"""config.toml: its tables with their lines, the keys checked."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct, field

from aitui.domain.sanitize import sanitize_line
from aitui.errors import SettingsError
from aitui.paths import require_no_fifo
from aitui.settings.raw import RawValue
from aitui.settings.table import SERVER_SETTINGS, TOP_SETTINGS

KeyPath = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
# Compiled when first used: most have no config.toml.
_TABLE = rf"\s*\[\s*({_DOTTED})\s*\]"
_KEY = rf"\s*({_DOTTED})\s*="


def line_numbers(text: str) -> dict[KeyPath, int]:
    """The line that each table and key is first named on, counted from 1.

    A hint, not a parser: keys with escapes and those in inline tables have none.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := re.match(_TABLE, line):
            table = path = _parts(header[1])
        elif key := re.match(_KEY, line):
            path = table + _parts(key[1])
        else:
            continue
        for depth in range(1, len(path) + 1):
            lines.setdefault(path[:depth], number)
    return lines


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


LARGEST_FILE = 1 << 20
_SERVER_KEYS = {
    key: setting for setting in SERVER_SETTINGS for key in (setting.name, *setting.aliases)
}
_TOP_KEYS = (*(setting.name for setting in TOP_SETTINGS), "servers")
LONGEST_NAME = 64
_AT = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"


def is_server_name(name: str) -> bool:
    """Whether a server can be called that."""
    return bool(name) and name == sanitize_line(name, LONGEST_NAME).strip() and "/" not in name


class SettingsFile(Struct, frozen=True):
    """The content of config.toml, values not parsed yet. `path` is None if there is no file."""

    path: Path | None = None
    top: Mapping[str, RawValue] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, RawValue]] = field(default_factory=dict)

    def no_such_server(self, given: RawValue) -> SettingsError:
        """Return the error for an unknown server name, with the nearest known one."""
        if not self.servers:
            where = "config.toml" if self.path is None else sanitize_line(str(self.path))
            return given.error(f"a server from {where}, which has no [servers.NAME] yet")
        near = _nearest(str(given.value), self.servers)
        names = ", ".join(self.servers)
        return given.error(
            f"perhaps {near}; config.toml has {names}" if near else f"one of {names}"
        )


def read_config_file(path: Path, *, required: bool) -> SettingsFile:
    """Read the file; without it there are no named servers, unless it is `required`.

    Blocks. Raises SettingsError with line and column, or with the nearest known key.
    """
    shown = sanitize_line(str(path))
    try:
        if not required:  # `--config <(…)` is one
            require_no_fifo(path)
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        if not required:
            return SettingsFile()
        raise SettingsError(f"{shown} (flag --config): there is no such file") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{shown} can't be read: {sanitize_line(why)}") from error
    if len(content) > LARGEST_FILE:
        raise SettingsError(f"{shown} is larger than 1 MiB: expected a config.toml")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{shown}, line {line}: expected UTF-8 text") from error
    return _SettingsFileReader(path, text).read()


class _SettingsFileReader:
    """Checks the tables of one file, which every error names."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._shown = sanitize_line(str(path))
        self._text = text
        self._lines = line_numbers(text)

    def read(self) -> SettingsFile:
        top = self._parse()
        self._check_keys((), top, _TOP_KEYS)
        servers = top.get("servers", {})
        single = {name: self._raw_value((), name, top[name]) for name in top if name != "servers"}
        if not isinstance(servers, dict):
            raise self._error(("servers",), "expected tables, like [servers.home]")
        return SettingsFile(
            path=self._path,
            top=single,
            servers={name: self._read_server(name, table) for name, table in servers.items()},
        )

    def _parse(self) -> dict[str, object]:
        import tomllib

        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            message = sanitize_line(str(error))
            at = re.search(_AT, message)
            what = message[: at.start()] if at else message
            *before, last = self._text.split("\n")
            end = len(before) + 1, len(last) + 1
            line, column = (at[1], at[2]) if at and at[1] else end
            raise SettingsError(
                f"{self._shown}, line {line}, column {column}: {what}: expected TOML"
            ) from error
        except (RecursionError, ValueError) as error:
            raise SettingsError(f"{self._shown}: expected TOML of a few tables") from error

    def _read_server(self, name: str, table: object) -> dict[str, RawValue]:
        at = ("servers", name)
        if not is_server_name(name):
            words = f"expected a name of up to {LONGEST_NAME} printable characters without /"
            raise self._error(at, words)
        if not isinstance(table, dict):
            raise self._error(at, f"expected a table, like [servers.{name}]")
        self._check_keys(at, table, _SERVER_KEYS)
        if "colour" in table and "color" in table:
            raise self._error((*at, "color"), "expected either color or colour, not both")
        if "url" not in table:
            raise self._error(at, "expected a url, like https://ai.example.org")
        return {
            _SERVER_KEYS[key].name: self._raw_value(at, key, value)
            for key, value in table.items()
            if value != "" or key == "url" or _SERVER_KEYS[key].takes_empty
        }

    def _check_keys(self, at: KeyPath, table: Mapping[str, object], known: Collection[str]) -> None:
        for key in table:
            if key in known:
                continue
            near = _nearest(key.replace("-", "_"), known)
            expected = f"expected {near}" if near else f"expected one of {', '.join(known)}"
            if not at and key in _SERVER_KEYS:
                expected = "expected it under a [servers.NAME]"
            raise self._error((*at, key), f"unknown key, {expected}")

    def _raw_value(self, at: KeyPath, key: str, value: object) -> RawValue:
        where = f"{self._path.name} [{'.'.join(at)}]" if at else self._path.name
        line = self._lines.get((*at, key))
        return RawValue(
            value=value,
            prefix=f"{key} = ",
            place=sanitize_line(f"{where}, line {line}" if line else where),
            origin=sanitize_line(where),
            base=self._path.parent,
        )

    def _error(self, at: KeyPath, words: str) -> SettingsError:
        paths = (at[:length] for length in range(len(at), 0, -1))
        line = next((self._lines[path] for path in paths if path in self._lines), 0)
        where = f"{self._shown}, line {line}" if line else self._shown
        return SettingsError(f"{where}: {sanitize_line('.'.join(at), 120)}: {words}")


def _nearest(wanted: str, known: Collection[str]) -> str:
    from aitui.domain.suggest import nearest_one  # with the first typing error

    return nearest_one(wanted, known)
