"""One value of a config file replaced, and everything else left as it was, byte for byte."""

from dataclasses import dataclass

from aitui.domain.config import difference
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.values import ValueSource


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """The text before and after, and what differs.

    `flag` is the flag or key as it stands in the file; `old` is None where it wasn't there, `new`
    None where it goes away. `shared_name` is the macro or anchor whose text changed, and `also`
    are the ids of the other models that change with it. `added` says that no value was there to
    replace. Where the value is the wanted one already, `after` is `before`.
    """

    before: str
    after: str
    model: str
    flag: str
    old: str | None
    new: str | None
    where: ValueSource
    shared_name: str = ""
    also: tuple[str, ...] = ()
    added: bool = False

    @property
    def diff(self) -> str:
        """A unified diff of the whole change, three lines around it, lines ending in LF."""
        return difference.config_diff(self.before, self.after)

    @property
    def diff_lines(self) -> str:
        """Only the lines that go and come, with their `-` and `+`."""
        return difference.diff_lines(self.before, self.after)


def change_flag(
    document: ConfigDocument, model_id: str, flag: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """Gives a llama-server flag of one model another value; call it in a thread.

    Where the value stands in a macro or behind an anchor, the shared text changes, unless
    `only_this_model`. A flag that takes no value is added with "". Raises ConfigRefused where
    nothing can be changed safely: through a shell's script, digits written as escapes, a value put
    together from several places.
    """
    from aitui.domain.config.flag_change import build_flag_change

    return build_flag_change(document, model_id, flag, value, only_this_model=only_this_model)


def change_key(
    document: ConfigDocument, model_id: str, key: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """Gives a plain key of one model, such as `ttl`, another value; call it in a thread.

    Raises ConfigRefused for a key whose value isn't a single one, and for a value that isn't of
    the key's kind.
    """
    from aitui.domain.config.key_change import build_key_change

    return build_key_change(document, model_id, key, value, only_this_model=only_this_model)
