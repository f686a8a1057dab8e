"""Where a model's flag has its value from."""

from dataclasses import dataclass
from enum import Enum

from aitui.domain.config.document import Document


class Where(Enum):
    """The place in the file that a value comes from."""

    COMMAND = "command"
    MACRO = "macro"
    ANCHOR = "anchor"
    ENVIRONMENT = "environment"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class FlagValue:
    """The value that counts: the last one in the command, else the environment's.

    `line` is counted from 1. `shared_name` is the macro or anchor whose text holds it, "" where
    the model has it to itself; `also` are the ids of the other models that read the same text.
    """

    text: str
    where: Where
    line: int
    shared_name: str = ""
    also: tuple[str, ...] = ()


def current_value(document: Document, model_id: str, flag: str) -> FlagValue | None:
    """The value of a flag by any of its spellings, or of its environment variable.

    None where the config doesn't say. Raises ConfigRefused for a model that isn't there.
    """
    raise NotImplementedError
