"""Format the profiles of a server."""

from aitui.domain.profiles import Profiles
from aitui.format.styled import Line, Span


def profiles_report(profiles: Profiles) -> dict[str, object]:
    """Collect what `profile --json` prints; `active` is null for none, a pin is "" if it is refused."""
    return {
        "active": profiles.active or None,
        "profiles": [
            {"id": one.id, "description": one.description, "pins": dict(one.pins)}
            for one in profiles.listed
        ],
    }


def profiles_as_lines(profiles: Profiles) -> list[Line]:
    """List the profiles with what each pins, the active one marked."""
    lines: list[Line] = []
    for one in profiles.listed:
        active = one.id == profiles.active
        mark = Span("● " if active else "○ ", "ready" if active else "muted")
        lines.append([mark, Span(one.id, "strong"), Span(f"  {one.description}", "muted")])
        lines += ([Span(f"    {pin}")] for pin in one.pin_lines)
    return lines or [[Span("This server has no profiles.")]]
