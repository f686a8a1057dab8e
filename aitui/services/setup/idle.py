"""Cron lines and timers on a host that unload models, which an idle timeout does better."""

import re
import shlex
from posixpath import basename

from msgspec import Struct

from aitui.domain.checks import CheckResult, inconclusive_check
from aitui.domain.sanitize import sanitize_line
from aitui.host.base import Host

_CALL = "api/models/unload"
_PATH = re.compile(r"(?:/|~/|\$HOME/|\$\{HOME\}/|%h/)[^\s\"';|&<>()]{1,300}")
_HOME = re.compile(r"\A(?:~|\$HOME|\$\{HOME\}|%h)(?=/)")
_USER_UNITS, _SYSTEM_UNITS = ".config/systemd/user", "/etc/systemd/system"
_SEARCH_SECONDS = 30.0
# A line each: where it stands, a tab, and what is run there.
_SCHEDULED = f"""
crontab -l 2>/dev/null | sed -e '/^[[:space:]]*#/d' -e 's/^/crontab\t/'
for file in /etc/crontab /etc/cron.d/* \\
  "$HOME"/{_USER_UNITS}/*.service {_SYSTEM_UNITS}/*.service; do
  [ -f "$file" ] || continue
  sed -e '/^[[:space:]]*[#;]/d' -e "s|^|$file\t|" "$file" 2>/dev/null
done
grep -ls '{_CALL}' /etc/cron.hourly/* /etc/cron.daily/* 2>/dev/null | sed 's/\\(.*\\)/\\1\t\\1/'
true
"""
_MENTIONS = f"grep -ls '{_CALL}' -- \"$@\""


class UnloadJob(Struct, frozen=True):
    """A job that unloads models: `place` is `crontab`, or a file; `line` is what runs there.

    `script` is the program that makes the request, if the line doesn't make it itself.
    """

    place: str
    line: str
    script: str = ""

    @property
    def finding(self) -> CheckResult:
        """Name the job, and how it is removed."""
        through = f", by {self.script}" if self.script else ""
        seen = f"{self.place} unloads models{through}: {sanitize_line(self.line, 200)}"
        return inconclusive_check("job", seen, f"with an idle timeout: {self.removal}")

    @property
    def removal(self) -> str:
        """The command that ends the job."""
        name = basename(self.place)
        timer = shlex.quote(f"{name.removesuffix('.service')}.timer")
        if self.place == "crontab":
            return f"crontab -l | grep -vxF -- {shlex.quote(self.line)} | crontab -"
        if f"/{_USER_UNITS}/" in self.place:
            return f"systemctl --user disable --now {timer}"
        if self.place.startswith(_SYSTEM_UNITS):
            return f"sudo systemctl disable --now {timer}"
        return f"sudoedit {shlex.quote(self.place)}"


async def find_unload_jobs(host: Host) -> tuple[UnloadJob, ...]:
    """Return the cron lines and units that post to `/api/models/unload`, also through a script.

    Raises HostError.
    """
    done = await host.run(("sh", "-c", _SCHEDULED), seconds=_SEARCH_SECONDS)
    home = (await host.resolve("~/")).rstrip("/")
    lines = [
        (sanitize_line(place, 300), line.strip())
        for place, tab, line in (
            text.partition("\t") for text in done.stdout.decode("utf-8", "replace").split("\n")
        )
        if tab and line.strip()
    ]
    scripts: dict[str, list[tuple[str, str]]] = {}
    found = []
    for place, line in lines:
        if _CALL in line:
            found.append(UnloadJob(place, line))
            continue
        for path in _PATH.findall(line):
            scripts.setdefault(_HOME.sub(home, path), []).append((place, line))
    for path in await _files_with_call(host, tuple(scripts)):
        found += (UnloadJob(place, line, path) for place, line in scripts.get(path, ()))
    return tuple(dict.fromkeys(found))


async def _files_with_call(host: Host, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of these small files make the request."""
    if not paths:
        return ()
    done = await host.run(("sh", "-c", _MENTIONS, "sh", *paths), seconds=_SEARCH_SECONDS)
    return tuple(done.stdout.decode("utf-8", "replace").split("\n"))
