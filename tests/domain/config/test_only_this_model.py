"""A shared value changed for one model alone, while the others keep theirs."""

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.locate import ValueSource
from domain.config.edits import flag_changed

BASE = "base: &base\n  cmd: >-\n    llama-server\n    -c 4096\n    --temp 1\n  ttl: 9\n"


def test_a_macro_named_in_the_command_gives_way_to_the_value() -> None:
    text = (
        "macros: {size: 4096}\nmodels:\n"
        "  a: {cmd: 'llama-server -c ${size}'}\n  b: {cmd: 'llama-server -c ${size}'}\n"
    )
    change = flag_changed(text, "a", "-c", "8192", only_this_model=True)
    assert change.after == text.replace("-c ${size}", "-c 8192", 1)
    assert (change.where, change.also) == (ValueSource.COMMAND, ())


def test_a_flag_inside_a_macro_is_given_again_behind_it() -> None:
    text = (
        "macros: {server: llama-server -c 4096}\nmodels:\n"
        "  a:\n    cmd: |\n      ${server}\n      --temp 1\n  b: {cmd: '${server}'}\n"
    )
    change = flag_changed(text, "a", "-c", "8192", only_this_model=True)
    assert change.after == text.replace("      --temp 1\n", "      --temp 1\n      -c 8192\n")
    assert (change.old, change.new, change.added) == ("4096", "8192", True)


def test_a_merged_command_is_copied_into_the_models_own_block() -> None:
    text = BASE + "models:\n  a:\n    <<: *base\n  b:\n    <<: *base\n"
    change = flag_changed(text, "a", "-c", "8192", only_this_model=True)
    own = "    cmd: >-\n      llama-server\n      -c 8192\n      --temp 1\n"
    assert change.after == text.replace("  a:\n", f"  a:\n{own}")


def test_a_merged_command_is_copied_into_braces() -> None:
    text = 'x: &x {cmd: "llama-server -c 1"}\nmodels: {a: {<<: *x}, b: {<<: *x}}\n'
    change = flag_changed(text, "b", "-c", "2", only_this_model=True)
    assert change.after == text.replace("b: {", 'b: {cmd: "llama-server -c 2", ')


def test_an_alias_gives_way_to_a_copy() -> None:
    text = (
        "models:\r\n  a:\r\n    cmd: &c |\r\n        llama-server\r\n        -c 1\r\n"
        "    ttl: 5\r\n  b:\r\n    cmd: *c # same\r\n"
    )
    change = flag_changed(text, "b", "-c", "2", only_this_model=True)
    assert (
        change.after == text.replace("*c # same", "|\r\n      llama-server\r\n      -c 2 # same")
        or ConfigDocument.read(change.after).context_size("a") == 1
    )


def test_a_flag_that_is_absent_from_a_shared_command_is_added_to_a_copy() -> None:
    text = BASE + "models:\n  a:\n    <<: *base\n    ttl: 5\n  b:\n    <<: *base\n"
    change = flag_changed(text, "a", "-ngl", "99", only_this_model=True)
    own = "    cmd: >-\n      llama-server\n      -c 4096\n      --temp 1\n      -ngl 99\n"
    assert change.after == text.replace("  a:\n", f"  a:\n{own}")
    assert change.also == ()


def test_a_shared_environment_gives_way_to_the_flag() -> None:
    text = (
        "e: &e [LLAMA_ARG_CTX_SIZE=1]\nmodels:\n"
        "  a: {cmd: llama-server, env: *e}\n  b: {cmd: llama-server, env: *e}\n"
    )
    change = flag_changed(text, "a", "-c", "2", only_this_model=True)
    assert change.after == text.replace("llama-server,", "llama-server -c 2,", 1)
    assert change.old == "1"


@pytest.mark.parametrize("flag", ["-c", "--temp", "--top-k"])
def test_no_other_model_changes(flag: str) -> None:
    text = (
        "macros: {size: 4096, s: llama-server --temp 1}\n" + BASE + "models:\n"
        "  a: {cmd: '${s} -c ${size}'}\n  b: {cmd: '${s} -c ${size}'}\n"
        "  c:\n    <<: *base\n  d:\n    <<: *base\n"
    )
    before = ConfigDocument.read(text)
    for model in ("a", "b", "c", "d"):
        change = flag_changed(text, model, flag, "7", only_this_model=True)
        after = ConfigDocument.read(change.after)
        changed = [one for one in "abcd" if before.command(one) != after.command(one)]
        assert changed == [model]
        assert change.also == ()


def test_a_value_that_a_macro_puts_together_is_given_again() -> None:
    text = "macros: {n: 409, s: 'llama-server -c ${n}0'}\nmodels:\n  a:\n    cmd: ${s}\n"
    change = flag_changed(text, "a", "-c", "5", only_this_model=True)
    assert change.after == text.replace("cmd: ${s}", "cmd: ${s} -c 5")
