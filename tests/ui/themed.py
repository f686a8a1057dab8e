"""An app without anything but the colors: for one screen or widget by itself."""

from textual.app import App
from textual.reactive import Reactive

from aitui.ui.theme import DARK, build_themes


class Themed(App[None]):
    """Knows the variables that style sheets use."""

    theme: Reactive[str] = Reactive(DARK)

    def __init__(self) -> None:
        super().__init__()
        for theme in build_themes(few_colors=False):
            self.register_theme(theme)
        self.stylesheet.set_variables(self.get_css_variables())
