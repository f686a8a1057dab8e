"""The colors of the screen: one meaning each, in a dark and a light theme, also with 256 colors.

In a style sheet they are variables (`$muted`, `$m1`); what draws its own cells asks `theme_style`. With
256 colors the themes consist of numbers chosen by hand, and nothing is mixed: rounding by the terminal
makes neighbors equal.
"""

from functools import lru_cache
from typing import Any

from rich.color import Color as RichColor
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import Theme

from aitui.domain.snapshot import Snapshot
from aitui.ui.terminal.filters import BLACK, WHITE, contrast_ratio, xterm_color

DARK, LIGHT = "aitui-dark", "aitui-light"

_TABLE = {
    # name: dark, its number of 256, light, its number
    "background": ("#0f131a", 233, "#fbfbfd", 231),
    "surface": ("#1a212d", 234, "#e8ebf2", 255),
    "raised": ("#161c27", 235, "#ffffff", 231),
    "select": ("#263350", 236, "#dfe4fb", 189),
    "frame": ("#364156", 240, "#bcc4d3", 250),
    "faint": ("#2b3445", 236, "#dde1ea", 254),
    "foreground": ("#dce3ee", 254, "#1c2330", 235),
    "muted": ("#93a0b6", 247, "#5a6579", 241),
    "accent": ("#ab90ff", 141, "#6a3fd4", 56),
    "ready": ("#4fd0a0", 79, "#08724f", 29),
    "transit": ("#5ec8f2", 81, "#0a669b", 24),
    "warning": ("#f0c04f", 221, "#8c5a00", 94),
    "error": ("#ff7b81", 210, "#b8233a", 160),
    "m1": ("#5f95f0", 68, "#3f66cf", 26),
    "m2": ("#ffb584", 216, "#b04a08", 130),
    "m3": ("#d8629f", 169, "#8c1f6e", 89),
    "m4": ("#98923f", 143, "#3f4a00", 58),
    "m5": ("#79eee0", 123, "#00806f", 23),
    "other": ("#66728a", 60, "#7a869c", 103),
}
_HUES = ("m1", "m2", "m3", "m4", "m5", "other")
_SHADES = {"plot": (0.62, None), "cache": (0.62, 25), "compute": (0.35, 60), "progress": (0.3, 24)}
"""The share of a color mixed into the background, and its number among 256 colors."""


def build_themes(*, few_colors: bool) -> tuple[Theme, Theme]:
    """Return the dark and the light theme; with `few_colors` for a terminal that has 256."""
    return _build_theme(DARK, few_colors), _build_theme(LIGHT, few_colors)


def _build_theme(name: str, few_colors: bool) -> Theme:  # noqa: FBT001
    dark = name == DARK
    colors = {each: _color(each, dark, few_colors) for each in _TABLE}
    raised, select, frame = colors["raised"], colors["select"], colors["frame"]
    muted, accent = colors["muted"], colors["accent"]
    background = colors["background"]
    return Theme(
        name=name,
        primary=accent,
        secondary=colors["transit"],
        warning=colors["warning"],
        error=colors["error"],
        success=colors["ready"],
        accent=accent,
        foreground=colors["foreground"],
        background=background,
        surface=colors["surface"],
        panel=raised,
        dark=dark,
        variables=colors
        | {
            "text-muted": muted,
            "border": accent,
            "border-blurred": frame,
            "block-cursor-background": select,
            "block-cursor-foreground": colors["foreground"],
            "block-cursor-blurred-background": select,
            "input-selection-background": select,
            "screen-selection-background": select,
            "scrollbar": frame,
            "scrollbar-hover": muted,
            "scrollbar-active": accent,
            **dict.fromkeys(
                (
                    "scrollbar-background",
                    "scrollbar-background-hover",
                    "scrollbar-background-active",
                    "scrollbar-corner-color",
                ),
                background,
            ),
        },
    )


def _color(name: str, dark: bool, few_colors: bool) -> str:  # noqa: FBT001
    dark_hex, dark_number, light_hex, light_number = _TABLE[name]
    if few_colors:
        red, green, blue = xterm_color(dark_number if dark else light_number)
        return f"#{red:02x}{green:02x}{blue:02x}"
    return dark_hex if dark else light_hex


def derive_variables(theme: Theme, *, few_colors: bool) -> dict[str, str]:
    """Return what Textual's own themes lack of our colors, made of theirs."""
    if theme.name in {DARK, LIGHT}:
        return {}
    known = theme.to_color_system().generate()
    hues = {name: _color(name, theme.dark, few_colors) for name in _HUES}
    if theme.ansi:
        quiet = "ansi_bright_black"
        grays = {"raised": "ansi_default", "select": quiet, "frame": quiet, "faint": quiet}
        grays["muted"] = "ansi_default"
    else:
        background, ink = Color.parse(known["background"]), Color.parse(known["foreground"])
        primary = Color.parse(known["primary"])
        grays = {"raised": known["panel"], "select": background.blend(primary, 0.3).hex6}
        for name, part in (("frame", 0.3), ("faint", 0.15), ("muted", 0.68)):
            grays[name] = background.blend(ink, part).hex6
    return {**hues, **grays, "ready": known["success"], "transit": known["secondary"]}


def has_few_colors(app: App[Any]) -> bool:
    """Whether the terminal has a palette instead of 16 million colors."""
    return app.console.color_system in {"256", "standard"}


def theme_color(app: App[Any], name: str) -> RichColor:
    """Return a color of the active theme, such as `muted` or `m1`."""
    return _rich_color(app.theme_variables[name])


@lru_cache(256)
def _rich_color(value: str) -> RichColor:
    return Color.parse(value).rich_color


def theme_style(app: App[Any], name: str, background: str = "") -> Style:
    """Return a style by the name of its color, after `bold`, `italic` or `underline`; no color at all is muted."""
    attributes, color = _parse_look(name)
    variables = app.theme_variables
    return _style(variables[color], variables[background] if background else "", attributes)


@lru_cache(256)
def _parse_look(name: str) -> tuple[str, str]:
    """The attributes and the color of a look such as `bold accent`."""
    *words, color = name.split() or [""]
    if color in {"", "bold", "italic", "underline"}:
        return " ".join([*words, color]), "muted"
    return " ".join(words), color


@lru_cache(512)
def _style(color: str, ground: str, attributes: str) -> Style:
    ground_color = _rich_color(ground) if ground else None
    return Style.parse(attributes) + Style(color=_rich_color(color), bgcolor=ground_color)


def shade(app: App[Any], name: str, of: str) -> RichColor:
    """Return a color mixed into the background, as it is for `plot`, `cache`, `compute`, `progress`."""
    part, number = _SHADES[of]
    variables = app.theme_variables
    color, background = Color.parse(variables[name]), Color.parse(variables["background"])
    if has_few_colors(app):
        return color.rich_color if number is None else RichColor.from_rgb(*xterm_color(number))
    if color.ansi is not None or background.ansi is not None:
        return color.rich_color
    return background.blend(color, part).rich_color


def label_color(ground: RichColor) -> RichColor:
    """Return black or white, whichever reads better on a bar of that color."""
    rgb = tuple(ground.get_truecolor())
    best = max(BLACK, WHITE, key=lambda ink: contrast_ratio(ink, (rgb[0], rgb[1], rgb[2])))
    return RichColor.from_rgb(*best)


def hue_of(snapshot: Snapshot, model_id: str) -> str:
    """Return the name of the color that a model has in every view; a failed load has no hue."""
    number = snapshot.hues.numbers.get(model_id, 0)
    if model_id in snapshot.hues.left or not number:
        model = snapshot.model(model_id)
        if model is not None and model.failed is not None and not model.failed.crashed:
            return "error"
    return f"m{number}" if number else "other"
