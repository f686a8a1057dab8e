"""A value as somebody wrote it, with the place it was written at."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from aitui.domain.sanitize import sanitize_line
from aitui.errors import SettingsError

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class RawValue:
    """One raw value.

    `spelled` is what stands before the value where it was written, like `AI_SERVER_URL=`; `place`
    names the source for an error, `origin` for the settings screen. A relative path starts at
    `base`.
    """

    value: object = field(repr=False)
    prefix: str
    place: str
    origin: str
    base: Path | None = None

    @classmethod
    def from_flag(cls, flag: str, value: object) -> "RawValue":
        """A value from the command line."""
        return cls(value, f"{flag} ", "flag", f"flag {flag}")

    @classmethod
    def from_variable(cls, variable: str, value: str) -> "RawValue":
        """A value from the environment."""
        return cls(value, f"{variable}=", "environment", f"environment {variable}")

    def error(self, expected: str, *, shown: str | None = None) -> SettingsError:
        """The error that names this value, its place, and what would be right.

        `shown` replaces the value if the value itself, or a part of it, is a secret.
        """
        text = _format_value(self.value) if shown is None else shown
        return SettingsError(
            f"{self.prefix}{sanitize_line(text, _SHOWN)} ({self.place}): expected {expected}"
        )


def _format_value(value: object) -> str:
    """The value in the spelling of the place that it came from."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{…}"
    if isinstance(value, list):
        return "[…]"
    return str(value)


@dataclass(frozen=True, slots=True)
class SettingsFlags:
    """The settings among the options. None, or False for `read_only`, if one wasn't given."""

    config: Path | None = None
    server: str | None = None
    url: str | None = None
    read_only: bool = False
    fps: int | None = None


CERTIFICATES = {"ca": "root-ca.pem", "client_cert": "client.pem", "client_key": "client-key.pem"}
"""The certificate settings, each with its file's name in `certs_dir`."""

ENDPOINTS = ("models", "running", "unload", "unload_all", "upstream_health")

IN_ENVIRONMENT = (
    "url",
    "certs_dir",
    *CERTIFICATES,
    "client_key_password",
    "api_key",
    "timeout_ms",
    "ssh_host",
    "preset_path",
    "service_unit",
    *(f"{endpoint}_path" for endpoint in ENDPOINTS),
)
OF_A_SERVER = (*IN_ENVIRONMENT, "colour", "color", "read_only")
AT_THE_TOP = ("default", "fps", "notifications", "servers")


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return f"AI_SERVER_{setting.upper()}"


def nearest_name(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, empty if none is near."""
    folded = {name.casefold(): name for name in known}
    matches = get_close_matches(word.casefold().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else ""
