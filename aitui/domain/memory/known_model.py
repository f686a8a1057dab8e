"""What is known of the memory of one model."""

from dataclasses import dataclass, field

from aitui.domain.gguf.header import Header
from aitui.domain.memory.measurement import Known
from aitui.domain.memory.setup import Setup


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What decides: its command, what was measured, and its file's header."""

    setup: Setup = field(default_factory=Setup)
    known: Known = field(default_factory=Known)
    header: Header | None = None
