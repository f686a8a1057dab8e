"""What a test of an edit looks at: one line of a file before, and after."""

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.key_edit import change_key
from aitui.domain.config.verify import ConfigChange


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
