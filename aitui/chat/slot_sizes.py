"""How many tokens one conversation may have: slots may share the context of a process."""

from typing import TYPE_CHECKING

from aitui.domain.command_line import parallel_slots
from aitui.domain.model import Model, RunState
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.chat import ChatClient


class SlotSizeCache:
    """What the models of one server said, for as long as they stay loaded."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        """0: it was asked, and doesn't tell."""
        self._seen_ready: set[str] = set()

    def size_for(self, model: Model) -> int:
        """Tokens of one slot: as it was told, else the context divided by the command's slots."""
        slots = parallel_slots(model.command) or 1
        return self._sizes.get(model.id) or model.context.tokens // max(1, slots)

    def should_fetch(self, model_id: str) -> bool:
        """Whether a model that is answering has to be asked: True once a load."""
        wanted = model_id not in self._sizes
        self._sizes.setdefault(model_id, 0)
        return wanted

    def record(self, model_id: str, tokens: int) -> None:
        """The server has said so."""
        self._sizes[model_id] = tokens

    def update_model(self, model: Model) -> None:
        """A model that isn't loaded any more may come back with other slots.

        Lists lag behind: one that was never seen ready may well be answering already.
        """
        if model.state is RunState.READY:
            self._seen_ready.add(model.id)
        elif model.id in self._seen_ready:
            self._seen_ready.discard(model.id)
            self._sizes.pop(model.id, None)

    async def fetch(self, client: "ChatClient", model_id: str) -> None:
        """Ask the model. Only for one that is answering: asking loads any other."""
        try:
            self._sizes[model_id] = await client.slot_size(model_id)
        except AituiError:
            # Servers without --slots answer 501: the command's own figures have to do.
            return
