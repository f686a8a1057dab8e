"""What the machine behind the server is: asked once, since it stays so until it is restarted."""

from aitui.domain.clean import clean_line
from aitui.domain.hardware.facts_output import host_facts
from aitui.domain.hardware.facts_script import facts_words
from aitui.domain.hardware.host_facts import HostFacts
from aitui.domain.hardware.host_script import TOOL_SECONDS
from aitui.errors import HostError
from aitui.host.kept import new_mark
from aitui.host.shell import Host

LARGEST_OUTPUT = 2 << 20
_TOOLS = 4


async def read_host_facts(
    host: Host, now: float, *, without_nvidia: bool = False, tool_seconds: int = TOOL_SECONDS
) -> HostFacts:
    """The facts, as far as the machine tells them; `now` is Unix time. Raises HostError."""
    mark = f"@{new_mark()} "
    ended = await host.run(
        facts_words(mark=mark, without_nvidia=without_nvidia, tool_seconds=tool_seconds),
        seconds=_TOOLS * (tool_seconds + 1.0),
        largest=LARGEST_OUTPUT,
    )
    if mark.encode() not in ended.output:
        said = clean_line(ended.complaint[:1000].decode("utf-8", "replace").strip(), 200)
        raise HostError(
            f"{host.label} doesn't tell what it is",
            why=said or f"its shell ended with status {ended.status} and said nothing",
        )
    return host_facts(ended.output, now, mark=mark)
