"""The stand-in as a program of its own, to be run where a llama-swap would be.

    python tests/llama_swap_program.py -listen 127.0.0.1:8080 -config config.yaml

Takes llama-swap's flags in Go's way and obeys its signals: SIGHUP reads the config file again,
SIGTERM lets running chats end. Words and exit statuses as recorded.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# At its import aiohttp reads the authorities of the system, a sixth of the start. It asks none here.
os.environ["SSL_CERT_FILE"] = os.devnull

from aitui.demo.certificates import Certificates
from aitui.demo.configuration import BadConfiguration, parse_configuration
from aitui.demo.dialect import Dialect
from aitui.demo.stand_in import StandIn

_POLL_INTERVAL = 0.2
_SWITCHES = frozenset({"validate", "watch-config", "version"})
_FLAGS = ("config", "dialect", "listen", "tls-cert-file", "tls-key-file", "version", "watch-config")
_FLAGS_OF_V252 = ("validate",)
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_FileSignature = tuple[int, int, int]


class _ProgramExit(Exception):
    """The program ends before it has begun; `status` is its exit status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Options:
    """What the flags ask for."""

    config: Path
    listen: tuple[str, int]
    watches: bool
    dialect: Dialect
    certificates: Certificates | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; 1 for a config file that can't be used, 2 for a wrong flag."""
    try:
        given = _parse_arguments(sys.argv[1:] if arguments is None else arguments)
        return asyncio.run(_serve(given))
    except _ProgramExit as ends:
        print(
            ends,
            end="\n" if str(ends) else "",
            file=sys.stdout if ends.status == 0 else sys.stderr,
            flush=True,
        )
        return ends.status


async def _serve(given: _Options) -> int:
    # A change between reading and watching is one as well.
    seen = await asyncio.to_thread(_file_signature, given.config)
    try:
        server = StandIn(
            await asyncio.to_thread(_read_config, given.config),
            given.dialect,
            given.certificates,
            require_client_certificate=False,
            listen=given.listen,
            say=_print,
        )
    except (OSError, BadConfiguration) as error:
        raise _ProgramExit(
            1, f"[ERROR] Error loading config: {_go_error_text(error, given.config)}"
        ) from error
    try:
        await server.start()
    except OSError as error:
        address = ":".join(str(part) for part in given.listen)
        reason = os.strerror(error.errno or 0).lower()
        text = f"[ERROR] Fatal server error: listen tcp {address}: bind: {reason}"
        raise _ProgramExit(1, text) from error
    asked: asyncio.Queue[signal.Signals | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.put_nowait, number)
    watching = asyncio.create_task(_watch_config(given, asked, seen))
    try:
        await _handle_signals(server, given, asked)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await server.stop()
    return 0


async def _handle_signals(
    server: StandIn, given: _Options, asked: asyncio.Queue[signal.Signals | None]
) -> None:
    while True:
        number = await asked.get()
        if number not in {None, signal.SIGHUP}:
            await server.drain()
            return
        try:
            text = await asyncio.to_thread(_read_config, given.config)
        except (OSError, UnicodeDecodeError) as error:
            reason = _go_error_text(error, given.config)
            server.write_log(f"[WARN] failed to reload config: {reason}\n")
        else:
            await server.reload(text, watched=number is None)


async def _watch_config(
    given: _Options, asked: asyncio.Queue[signal.Signals | None], seen: _FileSignature | None
) -> None:
    """Ask for a reload each time the config file has become another one than was `seen`."""
    while given.watches:
        await asyncio.sleep(_POLL_INTERVAL)
        mark = await asyncio.to_thread(_file_signature, given.config)
        if mark is not None and mark != seen:
            seen = mark
            asked.put_nowait(None)


def _file_signature(path: Path) -> _FileSignature | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _read_config(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _go_error_text(error: Exception, path: Path) -> str:
    if isinstance(error, OSError):
        return f"open {path}: {os.strerror(error.errno or 0).lower()}"
    return str(error)


def _parse_arguments(arguments: Sequence[str]) -> _Options:
    values = _parse_flags(arguments)
    if "version" in values:
        raise _ProgramExit(0, "version: stand-in")
    if "validate" in values:
        raise _validate(Path(values["config"]) if "config" in values else None)
    host, _, port = values.get("listen", ":8080").rpartition(":")
    certificates = None
    if "tls-cert-file" in values:
        pair = Path(values["tls-cert-file"]), Path(values.get("tls-key-file", ""))
        certificates = Certificates(pair[0], *pair, *pair)
    try:
        return _Options(
            config=Path(values.get("config", "config.yaml")),
            listen=(host or "0.0.0.0", int(port)),
            watches=values.get("watch-config", "false") not in _FALSE,
            dialect=Dialect(values.get("dialect", Dialect.V218.value)),
            certificates=certificates,
        )
    except ValueError as error:
        raise _ProgramExit(2, f"invalid value: {error}") from error


def _validate(config: Path | None) -> _ProgramExit:
    """Read the config file as a start would, and say what came of it."""
    if config is None:
        return _ProgramExit(1, "[ERROR] no config file: give -config or -config-dir")
    try:
        found = parse_configuration(_read_config(config))
    except (OSError, BadConfiguration) as error:
        print(f"config validation failed: {_go_error_text(error, config)}", flush=True)
        return _ProgramExit(1, "")
    counts = f"{len(found.models)} model(s), {len(found.peers)} peer(s)"
    return _ProgramExit(0, f"config is valid: {counts}")


def _parse_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Flags as Go's `flag` package takes them: one dash or two, `=` or a blank."""
    values: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).removeprefix("-").removeprefix("-").partition("=")
        known = (*_FLAGS, *(_FLAGS_OF_V252 if Dialect.V263.value in arguments else ()))
        if name not in known:
            usage = "\n".join(f"  -{flag}" for flag in _FLAGS)
            raise _ProgramExit(
                2, f"flag provided but not defined: -{name}\nUsage of llama-swap:\n{usage}"
            )
        if name in _SWITCHES and not equals:
            value = "true"
        elif not equals:
            if not rest:
                raise _ProgramExit(2, f"flag needs an argument: -{name}")
            value = rest.pop(0)
        values[name] = value
    return values


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
