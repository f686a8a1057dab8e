"""What a model's environment says to llama-server: variables that mean the same as flags."""

from collections.abc import Mapping

from aitui.domain.config.flags import FlagArity, find_flag

_PREFIX = "LLAMA_ARG_"
_LONGEST_NAME = 80
_OFF = frozenset({"", "0", "off", "false", "disabled", "no"})


def environment_arguments(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The flags that stand for the variables; llama-server lets those of the command win."""
    found: list[str] = []
    for name, value in environment.items():
        if not name.startswith(_PREFIX) or len(name) > _LONGEST_NAME or not name.isidentifier():
            continue
        flag = find_flag(name)
        if flag.environment != name:
            continue
        if flag.takes is not FlagArity.NOTHING:
            found += [flag.long_name, value]
        elif value.strip().lower() not in _OFF:
            found.append(flag.long_name)
    return tuple(found)
