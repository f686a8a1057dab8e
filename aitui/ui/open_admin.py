"""What keys, palette and slash commands want of the machine behind the server is done here."""

import time

from aitui.commands.administration import Administration
from aitui.commands.find import model_named
from aitui.commands.propose import (
    CONTEXT_SIZE,
    flag_edit,
    propose,
)
from aitui.commands.reload import (
    RELOADING,
    RESTARTING,
    confirm_reload,
    confirm_restart,
    reload,
    restart,
)
from aitui.commands.session import Session
from aitui.commands.undo import (
    UNDOING,
    last_change,
    question_before_undo,
    undo,
)
from aitui.ui.host_deeds import expected_load
from aitui.ui.open_config import OpenConfig
from aitui.ui.screens.context_size import ContextSizeScreen


class OpenAdmin(OpenConfig):
    """Changes context sizes, reloads, restarts, and takes changes back."""

    def ask_for_context(self, model_id: str) -> None:
        """Ask for another context size, and change it.

        The dialog opens at once, before the host is reached: what is typed ahead belongs to it.
        """
        session = self._session()
        model = session.snapshot.model(model_id) if session is not None else None
        if session is None or model is None or not self._may_change(session):
            # Says why not.
            self.change_context(model_id)
            return

        def sized(size: int | None) -> None:
            if size is not None:
                self.change_context(model_id, size)

        self._app.push_screen(ContextSizeScreen(model, session.snapshot), sized)

    def _may_change(self, session: Session) -> bool:
        return self._admin is not None and not session.server.read_only and not self._changing

    def change_context(self, model_id: str, size: int | None = None) -> None:
        """Change a context size; asks for the size where none is given."""
        self._change(lambda: self._change_context(model_id, size))

    def change_flag(self, model_id: str, flag: str, value: str) -> None:
        """Give a flag of llama-server, or `ttl`, another value."""
        self._change(lambda: self._change_one(model_id, flag, value))

    def reload(self) -> None:
        """Have the server read its config file again."""
        self._change(self._reload)

    def restart(self) -> None:
        """Restart the service."""
        self._change(self._restart)

    def undo(self) -> None:
        """Take the last change of the config file back."""
        self._change(self._undo)

    async def _change_context(self, model_id: str, size: int | None) -> None:
        admin, session = await self._ready("changing a context size")
        model = session.snapshot.model(model_id) or model_named(model_id, session.snapshot)
        if size is None:
            size = await self._app.push_screen_wait(ContextSizeScreen(model, session.snapshot))
        if size is not None:
            await self._change_flag(admin, session, model.id, CONTEXT_SIZE, str(size))

    async def _change_one(self, model_id: str, flag: str, value: str) -> None:
        admin, session = await self._ready("changing a flag")
        await self._change_flag(admin, session, model_id, flag, value)

    async def _change_flag(
        self, admin: Administration, session: Session, model_id: str, flag: str, value: str
    ) -> None:
        only = False
        while True:
            edit = flag_edit(model_id, flag, value, only_this_model=only)
            proposal = await propose(admin, edit)
            answer, wants_other = await self._ask_about(proposal)
            if not wants_other:
                break
            only = True
        if answer:
            await self._carry_out(admin, session, proposal)

    async def _reload(self) -> None:
        admin, session = await self._ready("reloading the server")
        if await confirm_reload(admin, self._ask):
            screen, progress = self._watched("Reloading the config file", *RELOADING)
            await self._until_end(screen, reload(admin, session, progress, self._ask), "Reloaded")
            self.read_config()

    async def _restart(self) -> None:
        admin, session = await self._ready("restarting the service")
        if await confirm_restart(admin, self._ask):
            screen, progress = self._watched(f"Restarting {admin.service.unit}", *RESTARTING)
            await self._until_end(screen, restart(admin, session, progress), "Restarted")

    async def _undo(self) -> None:
        admin, session = await self._ready("undoing a change")
        entry = await last_change(admin)
        at = time.strftime("%H:%M", time.localtime(entry.at))
        if await self._ask(lambda snapshot: question_before_undo(entry, at, snapshot)):
            screen, progress = self._watched("Undoing the last change", *UNDOING)
            screen.expected = expected_load(session, entry.model)
            await self._until_end(
                screen, undo(admin, session, entry, progress, self._ask), "Undone"
            )
            self.read_config()
