"""A flag given another value: found, replaced or added, and proven."""

from aitui.domain.config.additions import Splice
from aitui.domain.config.change import Change
from aitui.domain.config.document import Document
from aitui.domain.config.flag_wish import (
    Wish,
    appended,
    changed_others,
    prove_variable,
    prove_words,
    refuse_script,
    refuse_wrong_number,
    replacement,
    with_value,
)
from aitui.domain.config.flags import Takes, find_flag
from aitui.domain.config.own_copy import copied
from aitui.domain.config.proof import command_words, only_scalar, refuse_unless, reread
from aitui.domain.config.shell_words import refuse_unwritable
from aitui.domain.config.values import (
    Located,
    Where,
    command_anchor,
    command_sharers,
    locate,
    own_reference,
)


def changed_flag(
    document: Document, model_id: str, flag: str, value: str, *, only_this_model: bool
) -> Change:
    """See `change.change_flag`."""
    line = document.model(model_id).first_line
    found_flag = find_flag(flag)
    name = flag if flag.startswith("-") else found_flag.long_name
    wish = Wish(document, model_id, found_flag, name, value, line, only_this_model)
    refuse_wrong_number(wish)
    refuse_unwritable(value, line)
    refuse_script(wish)
    located = locate(document, model_id, found_flag)
    if located is not None and (located.text == value or found_flag.takes is Takes.NOTHING):
        return _unchanged(wish, located)
    if located is None:
        return _added(wish)
    if only_this_model and (located.also or located.node is None):
        return _overridden(wish, located)
    return _replaced(wish, located)


def _unchanged(wish: Wish, located: Located) -> Change:
    text = wish.document.text
    return Change(
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


def _replaced(wish: Wish, located: Located) -> Change:
    splice, node = replacement(wish, located)
    after = splice.applied(wish.document.text)
    result = reread(after, located.line)
    refuse_unless(proven=only_scalar(wish.document.root, result.root, node), line=located.line)
    if located.where is Where.ENVIRONMENT:
        prove_variable(wish, located, result)
    else:
        prove_words(wish, with_value(wish, located), result, located.line)
    also = changed_others(wish, result, located.line, allowed=bool(located.also))
    return Change(
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


def _added(wish: Wish) -> Change:
    also = command_sharers(wish.document, wish.model_id)
    if also and wish.only_this_model:
        return copied(wish, None)
    return _appended(wish, appended(wish, wish.document.text), also)


def _appended(wish: Wish, splice: Splice, sharers: tuple[str, ...]) -> Change:
    """The flag put behind the last word, where it counts more than any before."""
    text = wish.document.text
    line = wish.document.lines.line(splice.start)
    after = splice.applied(text)
    result = reread(after, line)
    refuse_unless(proven=only_scalar(wish.document.root, result.root, wish.command), line=line)
    prove_words(wish, command_words(wish.document, wish.model_id) + wish.added_words, result, line)
    also = changed_others(wish, result, line, allowed=bool(sharers))
    return Change(
        before=text,
        after=after,
        model=wish.model_id,
        flag=wish.name,
        old=_old(wish),
        new=wish.value,
        where=Where.ANCHOR if sharers else Where.COMMAND,
        shared_name=command_anchor(wish.document, wish.model_id) if sharers else "",
        also=also,
        added=True,
    )


def _old(wish: Wish) -> str | None:
    located = locate(wish.document, wish.model_id, wish.flag)
    return located.text if located else None


def _overridden(wish: Wish, located: Located) -> Change:
    """Another value for this model alone, while the shared text stays."""
    if command_sharers(wish.document, wish.model_id):
        return copied(wish, located)
    traced = wish.document.trace(wish.model_id)
    if located.where is Where.MACRO and located.given is not None and traced is not None:
        reference = own_reference(wish.document, wish.model_id, traced, located.given)
        if reference is not None:
            return _replaced(wish, reference)
    return _appended(wish, appended(wish, wish.document.text), ())
