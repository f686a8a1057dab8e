"""Files that a set-up writes on a host."""

import time
from pathlib import Path

from aitui.domain.server import Clock
from aitui.host.local import LocalHost
from aitui.services.setup.files import plan_file, write_file

CLOCK = Clock(time.monotonic, time.time)


async def test_only_a_tilde_at_the_beginning_is_the_home(tmp_path: Path) -> None:
    host, path = LocalHost(tmp_path / "home"), tmp_path / "a~b" / "Caddyfile"
    (tmp_path / "home").mkdir()
    for name in (str(path), "~/units/one.service"):
        await write_file(host, await plan_file(host, name, lambda _: "text", CLOCK), CLOCK)
    assert path.read_text() == "text"
    assert (tmp_path / "home" / "units" / "one.service").read_text() == "text"
