"""What a command line said."""

from dataclasses import dataclass, field
from typing import Literal

from aitui.settings.flags import SettingsFlags

Command = Literal[
    "tui",
    "status",
    "gpu",
    "load",
    "unload",
    "chat",
    "logs",
    "doctor",
    "ctx",
    "flag",
    "preset",
    "reload",
    "restart",
    "undo",
    "journal",
]

COMMANDS = (
    *("status", "gpu", "load", "unload", "chat", "logs", "doctor"),
    *("ctx", "flag", "preset", "reload", "restart", "undo", "journal"),
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """One command line. `model` is an id or an alias, empty where the command takes none.

    `log` is "proxy", "upstream", or empty for both. `settings` are the NAME=VALUE of a chat,
    `system` is None where nothing was said of it. `size` is a context size as it was typed; `flag`
    and `value` are those of llama-server. `reload` is False where a change of the config file is
    not to take effect yet, `only` is set where it must not reach other models.
    """

    command: Command = "tui"
    flags: SettingsFlags = field(default_factory=SettingsFlags)
    demo: bool = False
    json: bool = False
    model: str = ""
    all: bool = False
    yes: bool = False
    log: str = ""
    follow: bool = False
    polls: bool = False
    line: bool = False
    prompt: str = ""
    max_tokens: int | None = None
    settings: tuple[str, ...] = ()
    system: str | None = None
    go_on: bool = False
    evict: bool = False
    size: str = ""
    flag: str = ""
    value: str = ""
    reload: bool = True
    only: bool = False
