"""What is known of the memory of one model."""

from dataclasses import dataclass, field

from aitui.domain.gguf.header import GgufHeader
from aitui.domain.memory.measurement import MemoryRecords
from aitui.domain.memory.setup import LaunchProfile


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What decides: its command, what was measured, and its file's header."""

    launch_profile: LaunchProfile = field(default_factory=LaunchProfile)
    known: MemoryRecords = field(default_factory=MemoryRecords)
    header: GgufHeader | None = None
