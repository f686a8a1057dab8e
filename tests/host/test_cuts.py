"""A line to a real sshd that breaks, or falls silent, in a write: the file stays whole."""

import asyncio
import os
from pathlib import Path

import pytest

from aitui.errors import ConfigWriteUncertain, HostError
from aitui.host.base import digest_of
from aitui.host.config_file import ConfigFile, FileSnapshot, FileVersion
from aitui.host.config_lock import UNFINISHED_SECONDS
from aitui.host.ssh.address import SshTimeouts, SshUser
from aitui.host.ssh.host import SshHost
from host.conftest import make_place
from host.cutting import CuttingForwarder
from host.sshd import Sshd
from host.writing import ENDED, NEW, OLD, config_on, lock_of, names_in

pytestmark = pytest.mark.real_server("openssh-server")

# Larger than a piece of the line and than a packet, so that it can break within.
LONG_OLD = OLD * 3000
LONG_NEW = NEW * 3000
CUTS = 12
SILENCES = 5


class Line:
    """A config file behind a line that can break."""

    def __init__(self, sshd: Sshd, path: Path, home: Path) -> None:
        self._sshd = sshd
        self._home = home
        self.path = path

    async def write(
        self, limit: int | None, *, stalls: bool = False
    ) -> tuple[int, HostError | None]:
        """Read, then write over a line that fails so many pieces after the reading."""
        self.path.write_bytes(LONG_OLD)
        async with CuttingForwarder(self._sshd.port, stalls=stalls) as line:
            place = make_place(self._home, self._sshd)
            place.config.write_text(
                place.config.read_text().replace(str(self._sshd.port), str(line.port))
            )
            known = place.home / ".ssh" / "known_hosts"
            known.write_text(known.read_text().replace(str(self._sshd.port), str(line.port)))
            # Those of a line that works are long enough for a busy machine.
            seconds = 1.0 if stalls else 30.0
            user = SshUser(place, {}, limits=SshTimeouts(connect=seconds, login=seconds))
            async with SshHost("box", user, file_seconds=seconds) as host:
                file = config_on(host, self.path, ENDED)
                reading = await file.read()
                start = line.passed
                if limit is not None:
                    line.limit = start + limit
                error = await self._write(file, reading)
                return line.passed - start, error

    @staticmethod
    async def _write(file: ConfigFile, reading: FileSnapshot) -> HostError | None:
        try:
            await file.write(reading, LONG_NEW)
        except HostError as error:
            return error
        return None


@pytest.fixture(scope="module")
def counted() -> list[int]:
    """How many pieces a write takes that nothing breaks, once it is known."""
    return []


FAILURES = [
    *(pytest.param(cut, CUTS, False, id=f"cut-{cut}") for cut in range(CUTS)),
    *(pytest.param(cut, SILENCES, True, id=f"silence-{cut}") for cut in range(SILENCES)),
]


@pytest.mark.parametrize(("number", "of", "stalls"), FAILURES)
async def test_a_line_that_fails_leaves_the_old_file_or_the_new_one(
    sshd: Sshd, tmp_path: Path, folder: Path, counted: list[int], number: int, of: int, stalls: bool
) -> None:
    if not counted:
        pieces, error = await Line(sshd, tmp_path / "config.yaml", tmp_path / "a").write(None)
        assert error is None
        counted.append(pieces)

    path = folder / "config.yaml"
    limit = 1 + number * counted[0] // of
    _, error = await Line(sshd, path, tmp_path / "b").write(limit, stalls=stalls)
    # What sshd has received by now it may still be doing.
    await asyncio.sleep(0.3)
    text = path.read_bytes()
    assert text in {LONG_OLD, LONG_NEW}
    if error is not None and not isinstance(error, ConfigWriteUncertain):
        assert text == LONG_OLD
        assert "(while " in str(error)

    lock = lock_of(path)
    if lock.exists() and not lock.read_bytes().endswith(b"}"):
        modified = lock.stat().st_mtime - UNFINISHED_SECONDS - 60
        os.utime(lock, (modified, modified))
    async with SshHost("box", SshUser(make_place(tmp_path / "c", sshd), {})) as host:
        recovered = await config_on(host, path).recover(digest_of(LONG_OLD), digest_of(LONG_NEW))
    assert recovered.state is (FileVersion.OLD if text == LONG_OLD else FileVersion.NEW)
    backups = {name for name in names_in(folder) if name.endswith(".aitui")}
    assert names_in(folder) == {"config.yaml", *backups}
    assert all((folder / name).read_bytes() == LONG_OLD for name in backups)
