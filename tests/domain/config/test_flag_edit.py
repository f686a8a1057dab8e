"""One flag of one model changed where it stands, and nothing else."""

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.locate import ValueSource
from aitui.errors import ConfigRefused
from domain.config.edits import flag_changed

# Each holds the one value 4096 that is to become 131072.
STYLES = {
    "literal": "cmd: |\n      llama-server\n      --ctx-size 4096\n      --temp 1\n",
    "stripped": "cmd: |-\n      llama-server\n      --ctx-size 4096\n",
    "indented": "cmd: |2-\n       llama-server\n       -c 4096\n",
    "kept": "cmd: |+\n      llama-server\n      -c 4096\n\n\n",
    "folded": "cmd: >\n      llama-server\n      --ctx-size\n      4096 --temp 1\n",
    "folded, stripped": "cmd: >-\n      llama-server\n        --ctx-size 4096\n\n      -v\n",
    "plain": "cmd: llama-server --ctx-size 4096 --temp 1\n",
    "plain on lines": "cmd: llama-server\n      --ctx-size 4096\n      --temp 1 # 4096\n",
    "single": "cmd: 'llama-server --alias ''4096'' --ctx-size 4096'\n",
    "double": 'cmd: "llama-server\\t--alias \\"4096\\" --ctx-size 4096"\n',
    "double on lines": 'cmd: "llama-server\\n--top-k 1 \\\n      --ctx-size 4096 \\\n      -v"\n',
    "equals": "cmd: llama-server --ctx-size=4096\n",
    "short": "cmd: llama-server -c 4096\n",
    "underscore": "cmd: llama-server --ctx_size 4096\n",
    "quoted": "cmd: |\n      llama-server --ctx-size \"4096\" '-ngl' 1\n",
    "quoted behind equals": "cmd: llama-server --ctx-size='4096'\n",
    "quoted whole": 'cmd: llama-server "--ctx-size=4096" -v\n',
    "continued": "cmd: |\n      llama-server \\\n      --ctx-size 4096 \\\n      --temp 1\n",
    "commented": "cmd: |\n      llama-server\n      # --ctx-size 4096 is too much\n      -c 4096\n",
    "docker": "cmd: docker run -v 4096:4096 -c 4096 ghcr.io/x/llama.cpp:server -m x -c 4096\n",
    "wrapped": "cmd: taskset -c 4096 /opt/llama-server -c 4096\n",
    "repeated": "cmd: llama-server -c 4096 --ctx-size 4096 --alias 4096 -ngl 4096\n",
    "anchored alone": "cmd: &mine !!str llama-server -c 4096\n",
    "environment": "cmd: llama-server\n    env:\n      - A=4096\n      - LLAMA_ARG_CTX_SIZE=4096\n",
    "environment, quoted": "cmd: llama-server\n    env: ['LLAMA_ARG_CTX_SIZE=4096']\n",
    "own macro": "macros: {size: 4096, other: 4096}\n    cmd: llama-server -c ${size}\n",
}
# Which 4096 it is, counted from 0; the first where nothing is said.
WHICH = {
    "single": 1,
    "double": 1,
    "docker": 3,
    "wrapped": 1,
    "repeated": 1,
    "environment": 1,
    "commented": 1,
}


def in_a_file(body: str) -> str:
    """A file with neighbours around the model `a`."""
    return (
        "# mine, 4096\nmodels:\n  z: {cmd: llama-server -c 4096}\n"
        f"  a:\n    {body}\n  # 4096\n  b:\n    cmd: llama-server -c 4096\n"
    )


def nth_replaced(text: str, old: str, new: str, n: int) -> str:
    """The text with the nth occurrence replaced, counted from 0."""
    parts = text.split(old)
    return old.join(parts[: n + 1]) + new + old.join(parts[n + 1 :])


@pytest.mark.parametrize("style", STYLES)
def test_only_the_digits_change_in_every_style(style: str) -> None:
    before = in_a_file(STYLES[style])
    change = flag_changed(before, "a", "-c", "131072")
    wanted = in_a_file(nth_replaced(STYLES[style], "4096", "131072", WHICH.get(style, 0)))
    assert change.after == wanted
    assert (change.old, change.new, change.also, change.added) == ("4096", "131072", (), False)


@pytest.mark.parametrize("style", STYLES)
def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_one_stay(style: str) -> None:
    def dos(text: str) -> str:
        return "\ufeff" + text.replace("\n", "\r\n").removesuffix("\r\n")

    before = dos(in_a_file(STYLES[style]))
    change = flag_changed(before, "a", "-c", "131072")
    body = nth_replaced(STYLES[style], "4096", "131072", WHICH.get(style, 0))
    assert change.after == dos(in_a_file(body))


@pytest.mark.parametrize("style", STYLES)
def test_the_change_back_gives_the_same_file(style: str) -> None:
    before = in_a_file(STYLES[style])
    there = flag_changed(before, "a", "-c", "131072")
    back = flag_changed(there.after, "a", "-c", "4096")
    assert back.after == before


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (
            "cmd: |\n      llama-server\n      --model x\n      --temp 1\n",
            "cmd: |\n      llama-server\n      --model x\n      --temp 1\n      -c 5\n",
        ),
        (
            "cmd: |\n      llama-server \\\n      --model x \\\n      --temp 1\n",
            "cmd: |\n      llama-server \\\n      --model x \\\n      --temp 1 \\\n      -c 5\n",
        ),
        (
            "cmd: |\n      llama-server \\\n      --model x \\\n",
            "cmd: |\n      llama-server \\\n      --model x \\\n      -c 5\n",
        ),
        (
            "cmd: |\n      llama-server --model x\n",
            "cmd: |\n      llama-server --model x -c 5\n",
        ),
        (
            "cmd: |\n      llama-server\n      --model x --temp 1\n",
            "cmd: |\n      llama-server\n      --model x --temp 1 -c 5\n",
        ),
        (
            "cmd: >-\n      llama-server\n      --model x\n\n      # --temp 1\n",
            "cmd: >-\n      llama-server\n      --model x\n      -c 5\n\n      # --temp 1\n",
        ),
        ("cmd: llama-server -m x # why\n", "cmd: llama-server -m x -c 5 # why\n"),
        ("cmd: 'llama-server -m x'\n", "cmd: 'llama-server -m x -c 5'\n"),
        ('cmd: "llama-server -m x\\n"\n', 'cmd: "llama-server -m x -c 5\\n"\n'),
        ("cmd: llama-server\n      -m x\n", "cmd: llama-server\n      -m x\n      -c 5\n"),
        ('cmd: llama-server -m "x y"\n', 'cmd: llama-server -m "x y" -c 5\n'),
    ],
)
def test_a_flag_that_is_absent_is_added_in_the_files_style(body: str, after: str) -> None:
    change = flag_changed(in_a_file(body), "a", "-c", "5")
    assert change.after == in_a_file(after)
    assert (change.old, change.new, change.added) == (None, "5", True)
    assert change.where is ValueSource.COMMAND


def test_a_flag_is_added_at_the_end_of_a_file_without_a_last_line_end() -> None:
    before = "models:\r\n  a:\r\n    cmd: |\r\n      llama-server\r\n      -m x"
    assert flag_changed(before, "a", "ctx-size", "5").after == before + "\r\n      --ctx-size 5"


def test_a_flag_without_a_value_is_added_with_none() -> None:
    change = flag_changed("models: {a: {cmd: llama-server -m x}}\n", "a", "--jinja", "")
    assert change.after == "models: {a: {cmd: llama-server -m x --jinja}}\n"


def test_a_flag_that_stood_without_its_value_gets_one() -> None:
    change = flag_changed("models: {a: {cmd: llama-server -fa -m x}}\n", "a", "-fa", "on")
    assert change.after == "models: {a: {cmd: llama-server -fa on -m x}}\n"


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("cmd: llama-server --alias old", "cmd: llama-server --alias 'two words'"),
        ("cmd: llama-server --alias 'old one'", "cmd: llama-server --alias 'two words'"),
        ("cmd: llama-server --alias=old", "cmd: llama-server --alias='two words'"),
        ("cmd: 'llama-server --alias old'", "cmd: 'llama-server --alias ''two words'''"),
        ('cmd: "llama-server --alias old"', "cmd: \"llama-server --alias 'two words'\""),
        (
            'cmd: "llama-server --alias \\"old\\" -v"',
            'cmd: "llama-server --alias \\"two words\\" -v"',
        ),
    ],
)
def test_a_value_with_a_blank_is_quoted_as_the_place_asks(body: str, after: str) -> None:
    change = flag_changed(f"models:\n  a:\n    {body}\n", "a", "--alias", "two words")
    assert change.after == f"models:\n  a:\n    {after}\n"


@pytest.mark.parametrize(
    "value", ["it's", 'say "x"', "a\\b", "#no", '{"a":"it\'s"}', "$HOME", "-", "-5", "*", "ü"]
)
def test_a_value_arrives_as_it_was_given(value: str) -> None:
    for quote in ("|\n      ", "'", '"', ""):
        end = quote if quote in {"'", '"'} else ""
        text = f"models:\n  a:\n    cmd: {quote}llama-server --alias old -v{end}\n"
        change = flag_changed(text, "a", "--alias", value)
        document = ConfigDocument.read(change.after)
        again = flag_changed(change.after, "a", "--alias", value)
        assert again.after == change.after
        assert again.old == value
        assert document.command("a").endswith("-v\n" if end == "" and quote else "-v")


def test_a_value_that_stands_there_already_changes_nothing() -> None:
    text = "models: {a: {cmd: llama-server -c 5}}\n"
    change = flag_changed(text, "a", "--ctx-size", "5")
    assert change.before == change.after == text
    assert (change.old, change.new, change.diff) == ("5", "5", "")


def test_other_models_change_with_a_macro_and_are_named() -> None:
    text = (
        "macros:\n  size: 4096\n  server: llama-server -c ${size}\n"
        "models:\n  a: {cmd: '${server}'}\n  b: {cmd: '${server} -v'}\n"
        "  c: {cmd: '${server}', macros: {size: 1}}\n  d: {cmd: llama-server}\n"
    )
    change = flag_changed(text, "a", "-c", "8192")
    assert change.after == text.replace("size: 4096", "size: 8192")
    assert (change.where, change.shared_name, change.also) == (ValueSource.MACRO, "size", ("b",))


def test_other_models_change_with_an_anchor_and_are_named() -> None:
    text = (
        "models:\n  a: &a\n    cmd: &cmd llama-server -c 4096\n  b:\n    cmd: *cmd\n"
        "  c: {<<: *a, ttl: 5}\n  d: *a\n  e: {<<: *a, cmd: llama-server}\n"
    )
    change = flag_changed(text, "b", "-c", "8192")
    assert change.after == text.replace("4096", "8192")
    assert (change.where, change.shared_name) == (ValueSource.ANCHOR, "cmd")
    assert change.also == ("a", "c", "d")


def test_a_number_that_is_printed_otherwise_is_replaced_whole() -> None:
    text = "macros: {t: 0.70}\nmodels: {a: {cmd: 'llama-server --temp ${t}'}}\n"
    change = flag_changed(text, "a", "--temp", "0.8")
    assert change.after == text.replace("0.70", "0.8")
    assert change.old == "0.7"


@pytest.mark.parametrize(
    ("written", "after"),
    [
        ("-m ${dir}/a.gguf -v", "-m /n/b.gguf -v"),
        ('--model="${dir}/a b.gguf"', '--model="/n/b.gguf"'),
        ("-m ${MODEL_ID}", "-m /n/b.gguf"),
    ],
)
def test_a_value_that_the_command_puts_together_is_replaced_there(written: str, after: str) -> None:
    text = (
        "macros: {{dir: /m}}\nmodels:\n  a:\n    cmd: llama-server {}\n"
        "  b:\n    cmd: llama-server -m ${{dir}}/b\n"
    )
    change = flag_changed(text.format(written), "a", "--model", "/n/b.gguf")
    assert change.after == text.format(after)
    assert (change.where, change.also) == (ValueSource.COMMAND, ())


def test_the_difference_is_a_unified_one() -> None:
    text = "a1: &x 1\nmodels:\r\n  a:\r\n    cmd: llama-server -c 4096\r\n    ttl: 5\r\n    name: x\r\n"
    change = flag_changed(text, "a", "-c", "8192")
    assert change.diff == (
        "--- config.yaml\n+++ config.yaml\n@@ -1,6 +1,6 @@\n"
        " a1: &x 1\n models:\n   a:\n"
        "-    cmd: llama-server -c 4096\n+    cmd: llama-server -c 8192\n"
        "     ttl: 5\n     name: x\n"
    )
    assert "-    cmd: llama-server -c 4096\n+    cmd: llama-server -c 8192\n" in change.diff


def test_the_difference_is_harmless_to_show() -> None:
    text = "models:\n  a:\n    name: '\u202e\u2066x'\n    cmd: llama-server -c 4096\n"
    assert "\u202e" not in flag_changed(text, "a", "-c", "8192").diff


IK = "/opt/ik_llama.cpp/build/bin/llama-server --port ${PORT}"
FORKS = {
    "ik, behind --fit": (f"{IK} --fit --ctx-size 4096", "-c", "4096", "8192"),
    "ik, --fit between": (f"{IK} --fit --fit-margin 512 -c 4096", "fit-margin", "512", "1024"),
    "ik, on and off": (f"{IK} --fit --context-shift off -c 1", "context-shift", "off", "on"),
    "ik by its name": ("ik-llama-server --fit -c 4096", "-c", "4096", "8192"),
    "ik behind a wrapper": (f"taskset -c 4096 {IK} --fit -c 8192", "-c", "8192", "16384"),
    "--fit without on or off": ("llama-server --fit --ctx-size 4096 -v", "-c", "4096", "8192"),
    "--fit with off": ("llama-server --fit off --ctx-size 4096", "-c", "4096", "8192"),
    "-fit last": ("llama-server -c 4096 -fit", "-c", "4096", "8192"),
}


@pytest.mark.parametrize("in_macro", [False, True])
@pytest.mark.parametrize("name", FORKS)
def test_a_fork_is_read_by_its_own_flags(name: str, *, in_macro: bool) -> None:
    command, flag, old, new = FORKS[name]
    first, _, others = command.partition(" ")
    start = f"macros: {{run: {first}}}\n" if in_macro else ""
    text = f"{start}models:\n  a:\n    cmd: {'${run}' if in_macro else first} {others}\n"
    change = flag_changed(text, "a", flag, new)
    # The last of two equal words: the first one is the wrapper's.
    assert change.after == new.join(text.rsplit(old, 1))
    assert (change.old, change.added) == (old, False)


@pytest.mark.parametrize(
    ("command", "flag", "value", "why"),
    [
        ("llama-server -c 1", "context-shift", "on", "takes no value"),
        (f"{IK} -c 1", "context-shift", "", "needs a value"),
        (f"{IK} -c 1", "fit", "on", "takes no value"),
        ("llama-server --alias ik_llama.cpp", "context-shift", "on", "takes no value"),
    ],
)
def test_a_value_that_this_server_does_not_take_is_refused(
    command: str, flag: str, value: str, why: str
) -> None:
    with pytest.raises(ConfigRefused, match=why):
        flag_changed(f"models:\n  a:\n    cmd: {command}\n", "a", flag, value)


@pytest.mark.parametrize(
    ("old", "flag", "new"),
    [
        ("-c 4096-m x.gguf", "ctx-size", "8192"),
        ("-c many", "ctx-size", "8192"),
        ("-c -m x.gguf", "ctx-size", "8192"),
        ("--ctx-size=4096--top-k", "ctx-size", "8192"),
        ("--temp 0.7-c 4096", "--temp", "0.2"),
    ],
)
def test_what_may_be_more_than_a_value_is_not_replaced(old: str, flag: str, new: str) -> None:
    with pytest.raises(ConfigRefused, match="is not a number, and is not replaced"):
        flag_changed(in_a_file(f"cmd: llama-server {old}\n"), "a", flag, new)


@pytest.mark.parametrize("old", ["-ts 3,1", "--cpu-range 0-3", "-c ''", "--temp abc"])
def test_other_values_are_replaced(old: str) -> None:
    flag = old.split(maxsplit=1)[0]
    after = flag_changed(in_a_file(f"cmd: llama-server {old}\n"), "a", flag, "1").after
    assert f"cmd: llama-server {flag} " in after
    assert old not in after
