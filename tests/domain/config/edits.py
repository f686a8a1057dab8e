"""What a test of an edit looks at: one line of a file before, and after."""

from dataclasses import dataclass

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.key_edit import change_key
from aitui.domain.config.locate import ValueSource, locate_flag
from aitui.domain.config.verify import ConfigChange
from aitui.domain.llama_server import find_flag


@dataclass(frozen=True)
class FlagValue:
    """The value that counts, and where it stands."""

    text: str
    where: ValueSource
    line: int
    shared_name: str = ""
    also: tuple[str, ...] = ()


def current_value(document: ConfigDocument, model: str, flag: str) -> FlagValue | None:
    """The value of a flag, None if the config has none."""
    found = locate_flag(document, model, find_flag(flag))
    if found is None:
        return None
    return FlagValue(found.text, found.where, found.line, found.shared_name, found.also)


def flag_changed(
    text: str, model: str, flag: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """The change of one flag in a text."""
    document = ConfigDocument.read(text)
    return change_flag(document, model, flag, value, only_this_model=only_this_model)


def key_changed(
    text: str, model: str, key: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """The change of one key in a text."""
    document = ConfigDocument.read(text)
    return change_key(document, model, key, value, only_this_model=only_this_model)
