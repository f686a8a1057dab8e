"""A new server in config.toml: what is spliced into its text, and what it is called."""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

from aitui.domain.sanitize import sanitize_line
from aitui.errors import ActionRefused, SettingsError
from aitui.settings import table
from aitui.settings.toml import LONGEST_NAME, is_server_name

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*\[")
_KEYS = ("url", "certs_dir", "ca", "client_cert", "client_key", "ssh_host")
"""Those of a connection, in the order in which they are written."""


def suggest_name(url: str, taken: Mapping[str, object]) -> str:
    """Return a short name for the server at a URL that no other one has."""
    host = urlsplit(url).hostname or ""
    first = host if re.fullmatch(r"[0-9.]+|[^:]*:.*", host) else host.partition(".")[0]
    name = "local" if first in {"localhost", "127.0.0.1", "::1"} else first or "server"
    free = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in free if one not in taken)


def check_name(name: str) -> None:
    """Raise SettingsError if a server can't be called that."""
    if not is_server_name(name):
        raise SettingsError(
            f"{sanitize_line(name, 80)} can't be the name of a server",
            why=f"expected up to {LONGEST_NAME} printable characters without /",
        )


def add_server(text: str, name: str, values: Mapping[str, str], *, replace: bool = False) -> str:
    """Return the text of config.toml with one more server, and everything else as it was.

    It becomes the default if there is none. `replace` gives an existing one these values in place of
    its connection; its other keys stay. Raises SettingsError, and ActionRefused if the name is taken.
    """
    import tomllib

    mark, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    newline = "\r\n" if 0 < text.count("\n") == text.count("\r\n") else "\n"
    lines = text.removesuffix(newline).split(newline) if text else []
    before = tomllib.loads(text)
    written = {key: values[key] for key in _KEYS if values.get(key)}
    entries = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in written.items()]
    header = f"[servers.{_quote(name)}]"
    expected: dict[str, Any] = deepcopy(before)
    servers = expected.setdefault("servers", {})
    if name not in servers:
        lines += [*([""] if lines else []), header, *entries]
        servers[name] = written
    elif replace:
        others = {key: value for key, value in servers[name].items() if key not in _KEYS}
        servers[name] = {**written, **others}
        _replace_connection(lines, name, entries)
    else:
        raise ActionRefused(
            f"config.toml has a server {sanitize_line(name, 80)} already",
            why=f"its url is {sanitize_line(str(servers[name].get('url')), 200)}",
            remedy="choose another name, or replace it with --force",
        )
    if table.DEFAULT_SERVER.name not in before:
        lines.insert(0, f"default = {json.dumps(name, ensure_ascii=False)}")
        if lines[1].startswith(("#", "[")):
            lines.insert(1, "")
        expected["default"] = name
    changed = newline.join([*lines, ""])
    try:
        is_expected = tomllib.loads(changed) == expected
    except tomllib.TOMLDecodeError:
        is_expected = False
    if not is_expected:
        raise SettingsError(
            "config.toml is written in a way that can't be added to",
            why="its servers are no tables like [servers.NAME]",
            remedy=f"add this yourself: {header} {' '.join(entries)}",
        )
    return mark + changed


def _quote(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _replace_connection(lines: list[str], name: str, entries: list[str]) -> None:
    """Replace the lines of a server's connection, if its table has them on one line each."""
    import tomllib

    start = next((at for at, line in enumerate(lines) if _is_header(line, name)), None)
    if start is None:
        return
    end = start + 1
    while end < len(lines) and not _HEADER.match(lines[end]):
        key = lines[end].partition("=")[0].strip().strip("\"'")
        if key in _KEYS:
            try:
                tomllib.loads(lines[end])
            except tomllib.TOMLDecodeError:
                return
            del lines[end]
        else:
            end += 1
    lines[start + 1 : start + 1] = entries


def _is_header(line: str, name: str) -> bool:
    import tomllib

    if not _HEADER.match(line):
        return False
    try:
        found = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return found == {"servers": {name: {}}}
