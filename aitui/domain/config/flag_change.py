"""A flag given another value: found, replaced or added, and proven."""

from aitui.domain.config.additions import Splice
from aitui.domain.config.change import ConfigChange
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flag_wish import (
    FlagEdit,
    collect_other_changes,
    refuse_script,
    refuse_wrong_value_count,
    splice_new_flag,
    value_replacement,
    verify_variable,
    verify_words,
    words_with_value,
)
from aitui.domain.config.flags import FlagArity, find_flag
from aitui.domain.config.own_copy import detach_shared_command
from aitui.domain.config.proof import (
    command_words,
    differs_only_in_scalar,
    reparse,
    require_verified,
)
from aitui.domain.config.shell_words import refuse_unwritable
from aitui.domain.config.values import (
    LocatedValue,
    ValueSource,
    command_anchor_name,
    locate_flag,
    locate_macro_reference,
    models_sharing_command,
)


def build_flag_change(
    document: ConfigDocument, model_id: str, flag: str, value: str, *, only_this_model: bool
) -> ConfigChange:
    """See `change.change_flag`."""
    line = document.model(model_id).first_line
    found_flag = find_flag(flag)
    name = flag if flag.startswith("-") else found_flag.long_name
    wish = FlagEdit(document, model_id, found_flag, name, value, line, only_this_model)
    refuse_wrong_value_count(wish)
    refuse_unwritable(value, line)
    refuse_script(wish)
    located = locate_flag(document, model_id, found_flag)
    if located is not None and (located.text == value or found_flag.takes is FlagArity.NOTHING):
        return _no_change(wish, located)
    if located is None:
        return _add_flag(wish)
    if only_this_model and (located.also or located.node is None):
        return _override_flag(wish, located)
    return _replace_flag(wish, located)


def _no_change(wish: FlagEdit, located: LocatedValue) -> ConfigChange:
    text = wish.document.text
    return ConfigChange(
        before=text,
        after=text,
        model=wish.model_id,
        flag=located.name,
        old=located.text,
        new=wish.value,
        where=located.where,
        shared_name=located.shared_name,
        also=(),
    )


def _replace_flag(wish: FlagEdit, located: LocatedValue) -> ConfigChange:
    splice, node = value_replacement(wish, located)
    after = splice.apply(wish.document.text)
    result = reparse(after, located.line)
    require_verified(
        proven=differs_only_in_scalar(wish.document.root, result.root, node), line=located.line
    )
    if located.where is ValueSource.ENVIRONMENT:
        verify_variable(wish, located, result)
    else:
        verify_words(wish, words_with_value(wish, located), result, located.line)
    also = collect_other_changes(wish, result, located.line, allowed=bool(located.also))
    return ConfigChange(
        before=wish.document.text,
        after=after,
        model=wish.model_id,
        flag=located.name,
        old=located.text,
        new=wish.value,
        where=located.where,
        shared_name=located.shared_name,
        also=also,
    )


def _add_flag(wish: FlagEdit) -> ConfigChange:
    also = models_sharing_command(wish.document, wish.model_id)
    if also and wish.only_this_model:
        return detach_shared_command(wish, None)
    return _append_flag(wish, splice_new_flag(wish, wish.document.text), also)


def _append_flag(wish: FlagEdit, splice: Splice, sharers: tuple[str, ...]) -> ConfigChange:
    """The flag put behind the last word, where it counts more than any before."""
    text = wish.document.text
    line = wish.document.lines.line(splice.start)
    after = splice.apply(text)
    result = reparse(after, line)
    require_verified(
        proven=differs_only_in_scalar(wish.document.root, result.root, wish.command), line=line
    )
    verify_words(
        wish, command_words(wish.document, wish.model_id) + wish.words_to_add, result, line
    )
    also = collect_other_changes(wish, result, line, allowed=bool(sharers))
    return ConfigChange(
        before=text,
        after=after,
        model=wish.model_id,
        flag=wish.name,
        old=_current_text(wish),
        new=wish.value,
        where=ValueSource.ANCHOR if sharers else ValueSource.COMMAND,
        shared_name=command_anchor_name(wish.document, wish.model_id) if sharers else "",
        also=also,
        added=True,
    )


def _current_text(wish: FlagEdit) -> str | None:
    located = locate_flag(wish.document, wish.model_id, wish.flag)
    return located.text if located else None


def _override_flag(wish: FlagEdit, located: LocatedValue) -> ConfigChange:
    """Another value for this model alone, while the shared text stays."""
    if models_sharing_command(wish.document, wish.model_id):
        return detach_shared_command(wish, located)
    traced = wish.document.trace(wish.model_id)
    if located.where is ValueSource.MACRO and located.occurrence is not None and traced is not None:
        reference = locate_macro_reference(wish.document, wish.model_id, traced, located.occurrence)
        if reference is not None:
            return _replace_flag(wish, reference)
    return _append_flag(wish, splice_new_flag(wish, wish.document.text), ())
