"""What follows its user from place to place: copies, calls from elsewhere, the chosen theme."""

import asyncio

from textual.notifications import Notification, Notify
from textual.theme import Theme

from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError
from aitui.services.clipboard import copy_text
from aitui.store.json_store import save_theme
from aitui.ui.attention import notification_sequence
from aitui.ui.context import AppContext
from aitui.ui.deeds import BackgroundTaskApp

MAX_NOTIFICATIONS = 3
"""Things that are said in passing side by side."""
MAX_QUOTED_LENGTH = 60
"""Characters of a copied text that is named whole."""


class NotifyingApp(BackgroundTaskApp):
    """Keeps what it keeps where the present server has its places: those of a demo are its own."""

    # Without colours Textual tells neither the place in a list nor what is selected. What it draws
    # by visual styles loses `reverse`.
    # What is said in passing stands above status, prompt and keys: what is written stays in sight.
    CSS = """
    ToastRack { margin-bottom: 4; }
    OptionList:nocolor > .option-list--option-highlighted { text-style: bold underline; }
    Screen:nocolor .screen--selection { text-style: reverse; }
    """

    def __init__(self, opening: AppContext) -> None:
        super().__init__(opening)
        self._paths = opening.paths
        if opening.theme in self.available_themes:
            self.theme = opening.theme

    def on_mount(self) -> None:
        """Keep the theme from now on."""
        self.theme_changed_signal.subscribe(self, self._handle_theme_change)

    def on_notify(self, event: Notify) -> None:
        """Say the same thing once, and no more at a time than leave room."""
        shown = list(self._notifications)
        again = [
            one for one in shown if _notification_key(one) == _notification_key(event.notification)
        ]
        others = [one for one in shown if one not in again]
        for one in (*again, *others[: max(0, len(others) - MAX_NOTIFICATIONS + 1)]):
            self._unnotify(one, refresh=False)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy in one of three ways, and say where it went; also what Textual itself copies."""
        # What its own fields paste.
        self._clipboard = text
        self.run_in_background(self._copy(text), "copy", exclusive=False)

    def notify_if_away(self, words: str) -> None:
        """Ring and notify, where somebody looks at another window or another view.

        While a terminal takes nothing, or belongs to an editor, it isn't called: Textual would block.
        """
        view = next(screen for screen in reversed(self.screen_stack) if not screen.is_modal)
        elsewhere = not self.app_focus or view is not self.screen_stack[0]
        if elsewhere and self._app_context.settings.notifications and not self.is_behind:
            self._write_to_terminal(notification_sequence(words, self._app_context.environment))

    async def _copy(self, text: str) -> None:
        where = await copy_text(
            text, self._app_context.environment, self._write_to_terminal, self._paths.state
        )
        self.notify(f"Copied {_describe_text(text)} {where}", markup=False)

    def _handle_theme_change(self, _: Theme) -> None:
        self.run_worker(self._save_theme(), group="theme", exit_on_error=False)

    async def _save_theme(self) -> None:
        try:
            await asyncio.to_thread(save_theme, self._paths.state, self.theme)
        except OSError as error:
            words = f"The theme {self.theme} holds for this time only"
            why = f"{self._paths.state}: {error.strerror or error}"
            remedy = "set XDG_STATE_HOME to a folder that can be written"
            self._notify_error(AituiError(words, why=why, remedy=remedy))

    def _write_to_terminal(self, sequence: str) -> None:
        if self._driver is not None:
            self._driver.write(sequence)


def _notification_key(one: Notification) -> tuple[str, str, str]:
    return one.message, one.title, one.severity


def _describe_text(text: str) -> str:
    """The text itself where it is short, else how much of it there is."""
    lines = text.count("\n") + 1
    if lines > 1:
        return f"{lines:,} lines"
    return sanitize_line(text) if len(text) <= MAX_QUOTED_LENGTH else f"{len(text):,} characters"
