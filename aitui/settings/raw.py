"""A value as the user wrote it, with the place it was written at."""

from pathlib import Path

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import SettingsError

_SHOWN = 80


class RawValue(Struct, frozen=True):
    """One raw value.

    `prefix` is what precedes the value in its source, like `AI_SERVER_URL=`; `place` names the
    source for an error, `origin` for the settings screen. A relative path starts at `base`.
    """

    value: object
    prefix: str
    place: str
    origin: str
    base: Path | None = None

    def __repr__(self) -> str:
        return f"RawValue({self.prefix!r}, {self.place!r})"  # it may be a secret

    @classmethod
    def from_flag(cls, flag: str, value: object) -> "RawValue":
        """Build a value from the command line."""
        return cls(value, f"{flag} ", "flag", f"flag {flag}")

    @classmethod
    def from_variable(cls, variable: str, value: str) -> "RawValue":
        """Build a value from the environment."""
        return cls(value, f"{variable}=", "environment", f"environment {variable}")

    def error(self, expected: str, *, shown: str | None = None) -> SettingsError:
        """Return the error that names this value, its place, and what is expected.

        `shown` replaces the value if the value itself, or a part of it, is a secret.
        """
        text = _format_value(self.value) if shown is None else shown
        return SettingsError(
            f"{self.prefix}{sanitize_line(text, _SHOWN)} ({self.place}): expected {expected}"
        )


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{…}"
    if isinstance(value, list):
        return "[…]"
    return str(value)


class SettingsFlags(Struct, frozen=True):
    """The settings among the options; None, or False for `read_only`, if not given."""

    config: Path | None = None
    server: str | None = None
    url: str | None = None
    read_only: bool = False
    fps: int | None = None
