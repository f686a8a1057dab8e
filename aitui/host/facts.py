"""What the machine behind the server is: asked once, since it stays so until it is restarted."""

from aitui.domain.clean import sanitize_line
from aitui.domain.hardware.facts_output import parse_host_info
from aitui.domain.hardware.facts_script import host_info_command
from aitui.domain.hardware.host_facts import HostInfo
from aitui.domain.hardware.host_script import TOOL_SECONDS
from aitui.errors import HostError
from aitui.host.kept import new_mark
from aitui.host.shell import Host

LARGEST_INFO_OUTPUT = 2 << 20
_TOOLS = 4


async def read_host_info(
    host: Host, now: float, *, without_nvidia: bool = False, tool_seconds: int = TOOL_SECONDS
) -> HostInfo:
    """The facts, as far as the machine tells them; `now` is Unix time. Raises HostError."""
    mark = f"@{new_mark()} "
    ended = await host.run(
        host_info_command(mark=mark, without_nvidia=without_nvidia, tool_seconds=tool_seconds),
        seconds=_TOOLS * (tool_seconds + 1.0),
        largest=LARGEST_INFO_OUTPUT,
    )
    if mark.encode() not in ended.stdout:
        said = sanitize_line(ended.stderr[:1000].decode("utf-8", "replace").strip(), 200)
        raise HostError(
            f"{host.label} doesn't tell what it is",
            why=said or f"its shell ended with status {ended.status} and said nothing",
        )
    return parse_host_info(ended.stdout, now, mark=mark)
