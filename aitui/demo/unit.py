"""The systemd unit of the demo's llama-swap, and what systemd reports about it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from aitui.demo.configuration import BadConfiguration
from aitui.demo.stand_in import StandIn

UNIT = "llama-swap.service"
HOME = "/home/ai-server"
CONFIG_PATH = f"{HOME}/.config/llama-swap/config.yaml"
COMMAND = (f"{HOME}/bin/llama-swap", "-listen", "0.0.0.0:8080", "-config", CONFIG_PATH)
UNIT_PATH = f"{HOME}/.config/systemd/user/{UNIT}"
UNIT_TEXT = f"""\
[Unit]
Description=llama-swap
After=network.target

[Service]
Type=simple
ExecStart={" ".join(COMMAND)}
LimitNOFILE=65536
LimitMEMLOCK=infinity
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
"""
_FIRST_PID = 1187
_MAX_LINES = 500


class DemoUnit:
    """Reloads and restarts the stand-in from the file that the SSH side shows."""

    def __init__(self, config_file: Path, wall: Callable[[], float] = time.time) -> None:
        self._config_file = config_file
        self._wall = wall
        self._server: StandIn | None = None
        self._lines: deque[tuple[float, str]] = deque(maxlen=_MAX_LINES)
        self._lock = asyncio.Lock()
        self._starts = 0
        self._started_at = 0.0
        self._has_failed = False

    def write(self, text: str) -> None:
        """Write what the stand-in prints to the journal."""
        now = self._wall()
        self._lines.extend((now, line) for line in text.splitlines())

    def set_server(self, server: StandIn) -> None:
        """Set the server that the unit runs."""
        self._server = server
        self._mark_started()

    @property
    def main_pid(self) -> int:
        """The process id, 0 if none runs."""
        return 0 if self._has_failed or not self._starts else _FIRST_PID + 211 * (self._starts - 1)

    def journal(self, lines: int, since: float = 0.0) -> list[str]:
        """Return the last lines of the journal, none older than `since` (Unix time)."""
        found = [line for at, line in self._lines if at >= since]
        return found[-lines:] if lines > 0 else []

    def properties(self) -> dict[str, str]:
        """Return the properties of `systemctl show`."""
        words = " ".join(COMMAND)
        return {
            "Id": UNIT,
            "LoadState": "loaded",
            "LoadError": "",
            "ActiveState": "failed" if self._has_failed else "active",
            "SubState": "failed" if self._has_failed else "running",
            "UnitFileState": "enabled",
            "MainPID": str(self.main_pid),
            "ExecStart": f"{{ path={COMMAND[0]} ; argv[]={words} ; ignore_errors=no }}",
            "ExecMainStartTimestamp": _timestamp(self._started_at),
            "ExecMainStatus": "1" if self._has_failed else "0",
            "Result": "exit-code" if self._has_failed else "success",
            "NRestarts": "0",
            "FragmentPath": UNIT_PATH,
            "WorkingDirectory": f"!{HOME}",
            "NeedDaemonReload": "no",
        }

    async def reload(self) -> bool:
        """Send SIGHUP; return False if no process runs."""
        async with self._lock:
            if self._server is None or self._has_failed:
                return False
            try:
                text = await asyncio.to_thread(self._read_config)
            except (OSError, UnicodeDecodeError) as error:
                self._server.write_log(f"[WARN] failed to reload config: {_go_words(error)}\n")
            else:
                await self._server.reload(text)
            return True

    async def restart(self) -> None:
        """Stop and start; with an invalid config file it stays stopped."""
        async with self._lock:
            if self._server is None:
                return
            self.write("Stopping llama-swap.service - llama-swap...")
            await self._server.drain()
            try:
                await self._server.start(await asyncio.to_thread(self._read_config))
            except (OSError, UnicodeDecodeError, BadConfiguration) as error:
                self._has_failed = True
                self.write(f"[ERROR] Error loading config: {_go_words(error)}")
                self.write(f"{UNIT}: Main process exited, code=exited, status=1/FAILURE")
            else:
                self._mark_started()

    def _mark_started(self) -> None:
        self._has_failed = False
        self._starts += 1
        self._started_at = self._wall()

    def _read_config(self) -> str:
        return self._config_file.read_bytes().decode("utf-8-sig")


def _go_words(error: Exception) -> str:
    """An error as Go words it."""
    if isinstance(error, OSError) and error.strerror:
        return f"open {CONFIG_PATH}: {error.strerror[:1].lower()}{error.strerror[1:]}"
    return str(error)


def _timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")
