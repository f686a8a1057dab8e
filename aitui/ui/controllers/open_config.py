"""View 5 as the app sees it: opens it, and changes the file as a whole."""

from aitui.domain.confirmation import Confirmation
from aitui.domain.models import Model
from aitui.errors import ConfigRefused
from aitui.services.config_plan import find_unused_files, plan_content, plan_new_model, plan_removal
from aitui.ui.controllers.host import HostController, error_lines
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.dialogs import ChooseScreen
from aitui.ui.terminal.external_editor import edit_bytes, keep_edit


class ConfigController(HostController):
    """Shows the config file; edits it, puts models into it and takes them out."""

    def show_config(self, model: Model | None) -> None:
        """Open view 5."""
        session = self._session()
        if self._admin is None or session is None:
            self._notify_no_host()
        elif not isinstance(self._app.screen, ConfigScreen):
            self._app.push_screen(
                ConfigScreen(
                    self._app_context.clock,
                    session.server,
                    session.snapshot,
                    model.id if model is not None else "",
                )
            )

    def edit_config(self, line: int) -> None:
        """Edit the whole file in `$EDITOR`."""
        self._start_change(lambda: self._edit_config(line))

    def add_model(self) -> None:
        """Put a model into the file."""
        self._start_change(self._add_model)

    def remove_model(self, model_id: str) -> None:
        """Take a model out of the file."""
        self._start_change(lambda: self._remove_model(model_id))

    async def _edit_config(self, line: int) -> None:
        admin, session = await self._connect_host("editing the config file")
        reading = await admin.config.read()
        content = reading.content
        while True:
            content = await edit_bytes(
                self._app, content, suffix=".yaml", line=line, elsewhere=reading.content
            )
            try:
                proposal = await plan_content(reading, content)
            except ConfigRefused as error:
                question = Confirmation(
                    "That file can't be used. Edit it again?",
                    error_lines(error),
                    yes="Edit again",
                    no="Throw the edit away",
                )
                line = error.line or line
                if await self._ask(lambda _: question):  # noqa: B023
                    continue
                return
            if proposal is None:
                self._app.notify("The file is as it was", markup=False)
            elif not (
                (await self._confirm_proposal(proposal))[0]
                and await self._apply_proposal(admin, session, proposal)
            ):
                words = f"The edit is kept in {await keep_edit(content, '.yaml')}"
                self._app.notify(words, timeout=20, markup=False)
            return

    async def _add_model(self) -> None:
        admin, session = await self._connect_host("adding a model")
        files = await find_unused_files(admin)
        if not files:
            words = "No GGUF file in the folders of the config's models is without a block"
            self._app.notify(words, severity="warning", timeout=8, markup=False)
            return
        path = await self._app.push_screen_wait(ChooseScreen("Add which file as a model?", files))
        if path is not None:
            # One that runs has flags that work.
            likely = [model.id for model in session.snapshot.ready]
            proposal = await plan_new_model(admin, path, likely=likely)
            if (await self._confirm_proposal(proposal))[0]:
                await self._apply_proposal(admin, session, proposal)

    async def _remove_model(self, model_id: str) -> None:
        admin, session = await self._connect_host("removing a model")
        proposal = await plan_removal(admin, model_id)
        if (await self._confirm_proposal(proposal))[0]:
            await self._apply_proposal(admin, session, proposal)
