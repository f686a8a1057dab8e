"""What the lines above a config file say: where one is in it, and what is wrong there."""

from textual.content import Content

from aitui.commands.preset import ServerConfig
from aitui.ui.model_id import shorten_id
from aitui.ui.packing import LineItem, fit_items
from aitui.ui.widgets.config_view import ConfigView
from aitui.ui.words import match_position_text


def config_status_line(preset: ServerConfig, view: ConfigView, room: int) -> Content:
    """The most needed stay the longest."""
    count = preset.text.count("\n") + (not preset.text.endswith("\n"))
    at, models = f"line {view.cursor} of {count}", f"{len(preset.models)} models"
    found = (
        "" if view.needle is None else match_position_text(view.match_number(), len(view.matches))
    )
    where = shorten_id(preset.where, max(16, room - len(at) - len(found) - 4))
    items = (
        LineItem(where, 2),
        LineItem(at, 3),
        LineItem(found, 4, "$warning"),
        LineItem(models, 1),
    )
    shown = (Content.styled(item.text, item.style) for item in fit_items(items, room))
    return Content("  ").join(shown)


def line_warnings(preset: ServerConfig | None, line: int) -> list[str]:
    """What is wrong on this line, else how much is wrong elsewhere."""
    if preset is None:
        return []
    here = [problem for problem in preset.diagnostics if problem.line == line]
    lines = [f"{'✘' if problem.fatal else '!'} {problem.words}" for problem in here]
    if not here and preset.diagnostics:
        count = len(preset.diagnostics)
        noun = "problem" if count == 1 else "problems"
        lines.append(f"! {count} {noun} in this file: p goes to the next")
    if preset.newer:
        lines.append(f"! {preset.newer}   H reload")
    return lines
