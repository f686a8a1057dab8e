"""The context sizes that config files were last read to give their models, by server."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from aitui.store.json_store import FileFormat, JsonStore

FILE_NAME = "context-sizes.json"
MODELS_KEPT = 2000
_WHOLE_FILE = ""
"""In the place of a model id: a model that left the config file leaves this file with it."""

_FORMAT: FileFormat[dict[str, int], dict[str, int]] = FileFormat(
    name="context sizes",
    version=1,
    decoder=msgspec.json.Decoder(dict[str, dict[str, dict[str, int]]]),
    empty={},
    add=lambda _, sizes: sizes,
    models_kept=1,
    servers_kept=100,
)


class ContextSizes:
    """The context sizes of all servers, in memory and in one file; for commands without SSH."""

    def __init__(self, path: Path) -> None:
        self._store = JsonStore(path, _FORMAT)

    @classmethod
    async def open(cls, path: Path) -> "ContextSizes":
        """Read the file, which need not exist."""
        sizes = cls(path)
        await asyncio.to_thread(sizes._store.open)
        return sizes

    def of_server(self, identity: str) -> Mapping[str, int]:
        """Return the tokens by model id, empty if its config file was never read."""
        return self._store.of_model(identity, _WHOLE_FILE)

    async def record(self, identity: str, sizes: Mapping[str, int]) -> None:
        """Record the sizes of a config file that was just read. A call that is cancelled may write."""
        kept = {
            name: size
            for name, size in list(sizes.items())[:MODELS_KEPT]
            if name.isprintable() and 0 < size <= 1 << 40
        }
        if kept != self.of_server(identity):
            await asyncio.to_thread(self._store.add, identity, _WHOLE_FILE, kept)
