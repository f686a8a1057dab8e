"""The pane for problems, between a view's header and its keys."""

from collections.abc import Iterable

from aitui.errors import AituiError
from aitui.ui.keymap import remedy_text
from aitui.ui.plain import PlainText, plain


class TroublePane(PlainText):
    """Shows an error with its remedy, and other lines; hidden while there are none."""

    _shown = ""

    def show(self, error: AituiError | None, lines: Iterable[str] = ()) -> None:
        words = () if error is None else (f"✘ {error.what}", error.why, remedy_text(error))
        text = "\n".join(filter(None, (*words, *lines)))
        self.set_class(error is not None, "-error")
        self.display = bool(text)
        if text != self._shown:
            # An update lays the whole screen out again, and this one may come with each snapshot.
            self._shown = text
            self.update(plain(text))
