"""The way into the machine of a test without SSH: the protocol `Host`, through its namespaces."""

from collections.abc import Sequence

from aitui.host.base import CommandResult, FileInfo
from aitui.host.local import LocalHost
from e2e.service.user_manager import UserManager


class Inside(LocalHost):
    """The login there; every command begins with bare surroundings, as one over SSH does."""

    def __init__(
        self,
        machine: UserManager,
        *,
        session: bool = True,
        surroundings: Sequence[str] = (),
        number: int | None = None,
    ) -> None:
        """`number` is the uid of another login than the machine's."""
        super().__init__(machine.home)
        self.label = "the machine"
        bus = (f"XDG_RUNTIME_DIR=/run/user/{machine.number}",) if session else ()
        self._machine = machine
        self._before = (*machine.login(number), *bus, *surroundings)
        self.commands: list[tuple[str, ...]] = []

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 1 << 20
    ) -> CommandResult:
        """Run a command there."""
        self.commands.append(tuple(words))
        whole = (*self._before, *words)
        return await super().run(whole, seconds=seconds, largest=largest)

    async def facts(self, path: str) -> FileInfo:
        """What stands at a path there."""
        return await super().facts(f"{self._machine.there}{path}")
