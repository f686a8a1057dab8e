"""What the lines above a config file say: where one is in it, and what is wrong there."""

from textual.content import Content

from aitui.commands.preset import Preset
from aitui.ui.model_id import shortened_id
from aitui.ui.packing import Item, packed
from aitui.ui.widgets.config_view import ConfigView
from aitui.ui.words import found_words


def facts(preset: Preset, view: ConfigView, room: int) -> Content:
    """The most needed stay the longest."""
    count = preset.text.count("\n") + (not preset.text.endswith("\n"))
    at, models = f"line {view.cursor} of {count}", f"{len(preset.models)} models"
    found = "" if view.needle is None else found_words(view.place_found(), len(view.found))
    where = shortened_id(preset.where, max(16, room - len(at) - len(found) - 4))
    items = (Item(where, 2), Item(at, 3), Item(found, 4, "$warning"), Item(models, 1))
    shown = (Content.styled(item.text, item.style) for item in packed(items, room))
    return Content("  ").join(shown)


def warnings(preset: Preset | None, line: int) -> list[str]:
    """What is wrong on this line, else how much is wrong elsewhere."""
    if preset is None:
        return []
    here = [problem for problem in preset.problems if problem.line == line]
    lines = [f"{'✘' if problem.fatal else '!'} {problem.words}" for problem in here]
    if not here and preset.problems:
        count = len(preset.problems)
        noun = "problem" if count == 1 else "problems"
        lines.append(f"! {count} {noun} in this file: p goes to the next")
    if preset.newer:
        lines.append(f"! {preset.newer}   H reload")
    return lines
