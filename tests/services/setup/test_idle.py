"""Cron lines that unload models, found by the real script on a machine with a crontab of its own."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from aitui.host.base import CommandResult
from aitui.host.local import LocalHost
from aitui.services.setup.idle import find_unload_jobs

CURL = "curl -fsS -X POST http://127.0.0.1:8080/api/models/unload"


class WithCrontab(LocalHost):
    """This machine, with a `crontab` in the home that keeps its lines in a file."""

    def __init__(self, home: Path, lines: Sequence[str]) -> None:
        super().__init__(home)
        self.home = home
        self.lines = home / "lines"
        self.lines.write_text("".join(f"{line}\n" for line in lines))
        program = home / "bin" / "crontab"
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\ncase $1 in -l) cat "{self.lines}";; '
            f'-) cat >"{home}/new" && mv "{home}/new" "{self.lines}";; esac\n'
        )
        program.chmod(0o755)

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 1 << 20
    ) -> CommandResult:
        path = f"PATH={self.home}/bin:{os.environ['PATH']}"
        whole = ("env", f"HOME={self.home}", path, *words)
        return await super().run(whole, seconds=seconds, largest=largest)


@pytest.mark.parametrize(
    ("line", "script"),
    [
        (f"*/30 * * * * {CURL}  # it's idle", ""),
        ("0 3 * * * /bin/sh -c '$HOME/unload.sh >/dev/null'", "unload.sh"),
        ("@hourly ~/unload.sh", "unload.sh"),
    ],
)
async def test_a_cron_line_is_found_and_its_removal_works(
    tmp_path: Path, line: str, script: str
) -> None:
    (tmp_path / "unload.sh").write_text(f"#!/bin/sh\n{CURL}\n")
    others = (f"# {line}", "5 4 * * * /bin/true", "MAILTO=me")
    host = WithCrontab(tmp_path, (*others, line))
    (job,) = await find_unload_jobs(host)
    assert (job.place, job.line) == ("crontab", line)
    assert job.script == (f"{tmp_path}/{script}" if script else "")
    assert line in job.finding.seen
    assert (await host.run(("sh", "-ec", job.removal))).status == 0
    assert host.lines.read_text().splitlines() == list(others)


async def test_a_machine_without_such_a_job_has_none(tmp_path: Path) -> None:
    assert await find_unload_jobs(WithCrontab(tmp_path, ("@daily /bin/true",))) == ()
