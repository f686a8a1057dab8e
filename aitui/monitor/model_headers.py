"""The headers of the models' files, each read once."""

from collections.abc import Iterable

from aitui.domain.command_line import model_path
from aitui.domain.gguf.header import GgufHeader
from aitui.errors import HostFileError, ModelFileUnreadable
from aitui.host.model_header import read_model_header
from aitui.host.shell import Host

MOST_FILES = 500


class ModelHeaders:
    """What can't be read is not tried again: the model will be measured instead."""

    def __init__(self) -> None:
        self._headers: dict[str, GgufHeader | None] = {}

    def header_of(self, command: str) -> GgufHeader | None:
        """The header of the file that a command names, None where it isn't known."""
        path = _header_path(command)
        return self._headers.get(path) if path else None

    def unread(self, commands: Iterable[str]) -> tuple[str, ...]:
        """The files that these commands name and that nobody has looked at yet."""
        places = dict.fromkeys(place for place in map(_header_path, commands) if place)
        room = max(0, MOST_FILES - len(self._headers))
        return tuple(place for place in places if place not in self._headers)[:room]

    async def read(self, host: Host, path: str) -> None:
        """Read one file's header. Raises HostError where the machine itself can't be reached."""
        try:
            self._headers[path] = await read_model_header(host, path)
        except (ModelFileUnreadable, HostFileError):
            self._headers[path] = None


def _header_path(command: str) -> str:
    path = model_path(command) or ""
    return path if path.startswith(("/", "~/")) else ""
