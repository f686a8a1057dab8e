"""Single values: parsed from what the user wrote, or an error that says what is expected."""

import re
from pathlib import Path
from typing import Any

from aitui.settings.raw import RawValue

SLOWEST_FPS, FASTEST_FPS = 1, 60
LONGEST_ACTIVITY_DAYS, MOST_ACTIVITY_MEGABYTES, HIGHEST_PRICE = 3650, 100_000, 1_000_000
LONGEST_TIMEOUT_MS = 7 * 24 * 3600 * 1000
COLORS = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "magenta", "pink", "grey",
)  # fmt: skip

# Compiled when first used: few set any of these.
_UNIT = r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}"
_SSH_USER = r"[A-Za-z0-9_.+$\\][A-Za-z0-9_.+$\\-]*"
_SSH_HOST = r"[A-Za-z0-9_.*%][A-Za-z0-9_.*%-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\]"
_HEX_COLOR = r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})"
_SSH_FORM = "user@host, user@host:port, a Host of the SSH config, local, or nothing"


def read_text(given: RawValue, example: str) -> str:
    """Read one printable line. Raises SettingsError for anything else."""
    if not isinstance(given.value, str):
        raise given.error(f'text in quotes, like "{example}"')
    text = given.value.strip()
    if not text or not text.isprintable():
        raise given.error(f"one line of printable text, like {example}")
    return text


def read_file_path(given: RawValue, home: Path) -> Path:
    """Read a path on this machine: `~` is `home`, a relative one starts where it was written."""
    text = given.value
    if not isinstance(text, str) or not text or "\0" in text:
        raise given.error("a path in quotes, like ~/certs/client.pem")
    if text == "~" or text.startswith("~/"):
        return home / text[2:]
    if text.startswith("~"):
        raise given.error("a path that starts with ~/ or /; ~user is not supported")
    return given.base / text if given.base is not None else Path(text)


def read_password(given: RawValue) -> str:
    """Read a password, any text. It never appears in the error."""
    if not isinstance(given.value, str):
        raise given.error("a password in quotes", shown="…")
    return given.value


def read_username(given: RawValue) -> str:
    """Read the user of Basic authentication, which ends at the first colon (RFC 7617)."""
    text = read_text(given, "fox")
    if ":" in text:
        raise given.error("a name without a colon")
    return text


def read_api_key(given: RawValue) -> str:
    """Read a key that fits into an HTTP header. It never appears in the error."""
    text = given.value.strip() if isinstance(given.value, str) else ""
    if not text or not text.isascii() or not text.isprintable():
        raise given.error("a key of printable ASCII characters on one line", shown="…")
    return text


def read_timeout(given: RawValue) -> float:
    """Read milliseconds, at most a week, and return seconds."""
    milliseconds = _whole_number(given.value)
    if milliseconds is None:
        raise given.error("a whole number of milliseconds, like 300000")
    if not 0 < milliseconds <= LONGEST_TIMEOUT_MS:
        raise given.error(f"milliseconds from 1 to {LONGEST_TIMEOUT_MS} (a week), like 300000")
    return milliseconds / 1000


def read_fps(given: RawValue) -> int:
    """Read frames a second."""
    fps = _whole_number(given.value)
    if fps is None or not SLOWEST_FPS <= fps <= FASTEST_FPS:
        raise given.error(f"a whole number from {SLOWEST_FPS} to {FASTEST_FPS}, like 20")
    return fps


def read_activity_days(given: RawValue) -> int:
    """Read the days that activity is kept, 0 for none."""
    days = _whole_number(given.value)
    if days is None or not 0 <= days <= LONGEST_ACTIVITY_DAYS:
        raise given.error(f"a whole number of days up to {LONGEST_ACTIVITY_DAYS}, like 90")
    return days


def read_activity_megabytes(given: RawValue) -> int:
    """Read how large the record of activity may grow."""
    size = _whole_number(given.value)
    if size is None or not 1 <= size <= MOST_ACTIVITY_MEGABYTES:
        raise given.error(f"a whole number of megabytes up to {MOST_ACTIVITY_MEGABYTES}, like 200")
    return size


def read_price(given: RawValue) -> float:
    """Read the price of a kilowatt-hour."""
    if isinstance(given.value, bool) or not isinstance(given.value, int | float):
        raise given.error("a price of a kilowatt-hour, like 0.32")
    if not 0 <= given.value < HIGHEST_PRICE:
        raise given.error(f"a price of a kilowatt-hour below {HIGHEST_PRICE}, like 0.32")
    return float(given.value)


def read_bool(given: RawValue) -> bool:
    """Read true or false."""
    if not isinstance(given.value, bool):
        raise given.error("true or false")
    return given.value


def read_programs(given: RawValue) -> tuple[str, ...]:
    """Read a list of programs."""
    texts = given.value if isinstance(given.value, list) else [None]
    if not all(isinstance(text, str) and text and text.isprintable() for text in texts):
        raise given.error('names or paths of programs, like ["run-wolf.sh"]')
    return tuple(texts)


_LONGEST_CLIENT = 40


def read_clients(given: RawValue) -> dict[str, str]:
    """Read a table of names by IP address."""
    from aitui.domain.clients import normalize_address

    table: dict[str, Any] = given.value if isinstance(given.value, dict) else {"": None}
    for address, name in table.items():
        is_name = isinstance(name, str) and name.isprintable() and 0 < len(name) <= _LONGEST_CLIENT
        if not is_name or not normalize_address(address):
            raise given.error('names by IP address, like "192.168.2.20" = "phone"')
    return {normalize_address(address): name for address, name in table.items()}


def read_color(given: RawValue) -> str:
    """Read a color: a name that Textual knows, or hexadecimal."""
    text = read_text(given, "green").lower()
    if text not in COLORS and not re.fullmatch(_HEX_COLOR, text):
        raise given.error(f"#rrggbb or one of {', '.join(COLORS)}")
    return text


def read_ssh_host(given: RawValue) -> str:
    """Read how the host is reached; empty means not at all."""
    if not isinstance(given.value, str):
        raise given.error(f"{_SSH_FORM}, in quotes")
    text = given.value.strip()
    if not text:
        return ""
    if text.startswith("ssh://"):
        raise given.error(f"{_SSH_FORM}; without ssh://", shown="ssh://…")
    user, at, place = text.rpartition("@")
    if at and ":" in user:
        raise given.error(f"{_SSH_FORM}; a password can't be stored here", shown=f"…@{place}")
    if at and not re.fullmatch(_SSH_USER, user):
        raise given.error(_SSH_FORM)
    if place.count(":") > 1 and not place.startswith("["):
        raise given.error("an IPv6 address in brackets, like user@[::1]:22")
    host, port = _host_and_port(place)
    if not re.fullmatch(_SSH_HOST, host):
        raise given.error(_SSH_FORM)
    number = _whole_number(port) if port is not None else 22
    if number is None or not 0 < number <= 65535:
        raise given.error("a port from 1 to 65535 after the host")
    return text


def read_service_unit(given: RawValue) -> str:
    """Read the name of a systemd unit."""
    unit = read_text(given, "llama-swap.service")
    if not re.fullmatch(_UNIT, unit):
        raise given.error("the name of a systemd unit, like llama-swap.service")
    return unit


def read_endpoint(given: RawValue, *, of_model: bool, example: str) -> str:
    """Read a path below the server's URL, with `<id>` once if it is about a model."""
    path = read_text(given, example)
    if not path.startswith("/") or path.startswith("//"):
        raise given.error(f"a path that starts with one /, like {example}")
    if any(character in " ?#\\" or not character.isascii() for character in path):
        raise given.error(f"a path without spaces, query or fragment, like {example}")
    if of_model and path.count("<id>") != 1:
        raise given.error(f"<id> once, where the model's id goes, like {example}")
    if not of_model and "<id>" in path:
        raise given.error(f"a path without <id>, like {example}")
    return path


def _host_and_port(place: str) -> tuple[str, str | None]:
    if place.startswith("["):
        host, bracket, rest = place.partition("]")
        return host + bracket, rest.removeprefix(":") if rest else None
    host, colon, port = place.partition(":")
    return host, port if colon else None


def _whole_number(value: object) -> int | None:
    """Return an int, also from up to 15 digits as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,15}", value.strip()):
        return int(value)
    return None
