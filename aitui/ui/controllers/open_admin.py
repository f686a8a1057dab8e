"""What keys, palette and slash commands want of the machine behind the server is done here."""

import time

from aitui.services.config_plan import CONTEXT_SIZE, flag_edit, plan_change
from aitui.services.config_recover import (
    RELOADING,
    RESTARTING,
    UNDOING,
    confirm_reload,
    confirm_restart,
    last_change,
    reload_server,
    restart_server,
    undo_change,
    undo_confirmation,
)
from aitui.services.host_admin import HostAdmin
from aitui.services.load import resolve_model
from aitui.services.session import Session
from aitui.ui.controllers.host import expected_load_time
from aitui.ui.controllers.open_config import ConfigController
from aitui.ui.screens.context_size import ContextSizeScreen


class AdminController(ConfigController):
    """Changes context sizes, reloads, restarts, and takes changes back."""

    def ask_for_context_size(self, model_id: str) -> None:
        """Ask for another context size, and change it.

        The dialog opens at once, before the host is reached: what is typed ahead belongs to it.
        """
        session = self._session()
        model = session.snapshot.model(model_id) if session is not None else None
        if session is None or model is None or not self._can_change(session):
            # Says why not.
            self.change_context_size(model_id)
            return

        def sized(size: int | None) -> None:
            if size is not None:
                self.change_context_size(model_id, size)

        self._app.push_screen(ContextSizeScreen(model, session.snapshot), sized)

    def _can_change(self, session: Session) -> bool:
        return self._admin is not None and not session.server.read_only and not self._is_changing

    def change_context_size(self, model_id: str, size: int | None = None) -> None:
        """Change a context size; asks for the size where none is given."""
        self._start_change(lambda: self._change_context_size(model_id, size))

    def change_flag(self, model_id: str, flag: str, value: str) -> None:
        """Give a flag of llama-server, or `ttl`, another value."""
        self._start_change(lambda: self._connect_and_change_flag(model_id, flag, value))

    def reload(self) -> None:
        """Have the server read its config file again."""
        self._start_change(self._reload)

    def restart(self) -> None:
        """Restart the service."""
        self._start_change(self._restart)

    def undo(self) -> None:
        """Take the last change of the config file back."""
        self._start_change(self._undo)

    async def _change_context_size(self, model_id: str, size: int | None) -> None:
        admin, session = await self._connect_host("changing a context size")
        model = session.snapshot.model(model_id) or resolve_model(model_id, session.snapshot)
        if size is None:
            size = await self._app.push_screen_wait(ContextSizeScreen(model, session.snapshot))
        if size is not None:
            await self._change_flag(admin, session, model.id, CONTEXT_SIZE, str(size))

    async def _connect_and_change_flag(self, model_id: str, flag: str, value: str) -> None:
        admin, session = await self._connect_host("changing a flag")
        await self._change_flag(admin, session, model_id, flag, value)

    async def _change_flag(
        self, admin: HostAdmin, session: Session, model_id: str, flag: str, value: str
    ) -> None:
        only = False
        while True:
            edit = flag_edit(model_id, flag, value, only_this_model=only)
            proposal = await plan_change(admin, edit)
            answer, wants_other = await self._confirm_proposal(proposal)
            if not wants_other:
                break
            only = True
        if answer:
            await self._apply_proposal(admin, session, proposal)

    async def _reload(self) -> None:
        admin, session = await self._connect_host("reloading the server")
        if await confirm_reload(admin, self._ask):
            screen, progress = self._show_progress("Reloading the config file", *RELOADING)
            await self._run_steps(
                screen, reload_server(admin, session, progress, self._ask), "Reloaded"
            )
            self.read_config()

    async def _restart(self) -> None:
        admin, session = await self._connect_host("restarting the service")
        if await confirm_restart(admin, self._ask):
            screen, progress = self._show_progress(f"Restarting {admin.service.unit}", *RESTARTING)
            await self._run_steps(screen, restart_server(admin, session, progress), "Restarted")

    async def _undo(self) -> None:
        admin, session = await self._connect_host("undoing a change")
        entry = await last_change(admin)
        at = time.strftime("%H:%M", time.localtime(entry.at))
        if await self._ask(lambda snapshot: undo_confirmation(entry, at, snapshot)):
            screen, progress = self._show_progress("Undoing the last change", *UNDOING)
            screen.expected_load_time = expected_load_time(session, entry.model)
            await self._run_steps(
                screen, undo_change(admin, session, entry, progress, self._ask), "Undone"
            )
            self.read_config()
