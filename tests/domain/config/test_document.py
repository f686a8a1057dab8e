"""A config file read: its models, their commands, their places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.document import ConfigDocument
from aitui.errors import ConfigRefused

OURS = """\
globalTTL: 1800
models:
  Qwen_Qwen3.6-35B-A3B-Q8_0:
    cmd: |
      /home/ai-server/llama.cpp/build/bin/llama-server
      --model /home/ai-server/models/Qwen_Qwen3.6-35B-A3B-Q8_0.gguf
      --ctx-size 262144
      --n-gpu-layers 99

  # the small one
  "MiniMax: M2":
    cmd: |
      llama-server
      # --ctx-size 1
      --ctx-size 131072
    aliases: [mini, m2]
    ttl: 60
# the end
"""

MACROS = """\
macros:
  ctx: 4096
  server: /opt/llama-server --port ${PORT} --ctx-size ${ctx}
  both: ${server} --temp 0.7
models:
  a:
    cmd: ${both} --alias ${MODEL_ID}
  b:
    macros:
      ctx: 8192
      own: --jinja
    cmd: ${server} ${own}
  c:
    cmd: ${later} ${unknown}
    macros:
      first: ${later}
      later: x
"""


def test_a_models_lines_are_those_of_its_block() -> None:
    blocks = ConfigDocument.read(OURS).models
    assert [(block.id, block.first_line, block.last_line) for block in blocks] == [
        ("Qwen_Qwen3.6-35B-A3B-Q8_0", 3, 8),
        ("MiniMax: M2", 11, 17),
    ]


def test_lines_are_the_same_with_byte_order_mark_and_carriage_returns() -> None:
    dos = "\ufeff" + OURS.replace("\n", "\r\n")
    assert ConfigDocument.read(dos).models == ConfigDocument.read(OURS).models


def test_a_model_knows_its_aliases() -> None:
    assert ConfigDocument.read(OURS).model("MiniMax: M2").aliases == ("mini", "m2")


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ("aliases: ['${MODEL_ID}:coding', '${MODEL_ID}-talk']", ("m:coding", "m-talk")),
        ("aliases: [plain, 'x-${kind}']", ("plain", "x-fast")),
        ("aliases: ['${own}']\n    macros: {own: mine, kind: slow}", ("mine",)),
        ("aliases: ['${kind}']\n    macros: {kind: slow}", ("slow",)),
        ("aliases: ['${unknown}']", ("${unknown}",)),
        ("filters: {setParamsByID: {'${MODEL_ID}:think': {temperature: 1}}}", ("m:think",)),
        ("aliases: [a]\n    filters: {setParamsByID: {b: {top_k: 1}, c: {}}}", ("a", "b", "c")),
        ("filters: {setParams: {temperature: 1}}", ()),
    ],
)
def test_every_name_to_which_a_model_answers_is_known(keys: str, names: tuple[str, ...]) -> None:
    text = f"macros: {{kind: fast}}\nmodels:\n  m:\n    cmd: x\n    {keys}\n"
    assert ConfigDocument.read(text).model("m").aliases == names


def test_aliases_that_multiply_are_left_out() -> None:
    macros = "".join(f"  m{n}: '{f'${{m{n - 1}}}' * 10}'\n" for n in range(1, 9))
    text = f"macros:\n  m0: x\n{macros}models:\n  a:\n    cmd: x\n    aliases: ['${{m8}}', b]\n"
    assert ConfigDocument.read(text).model("a").aliases == ("b",)


def test_a_model_that_is_another_ones_alias_has_one_line() -> None:
    text = "models:\n  a: &a\n    cmd: x\n    ttl: 5\n  b: *a # same\n"
    block = ConfigDocument.read(text).model("b")
    assert (block.first_line, block.last_line) == (5, 5)


@pytest.mark.parametrize(
    ("body", "last"),
    [("ttl:", 3), ("env:\n      -\n      -", 5), ("env: [a,\n      b]", 4), ("{}", 3), ("", 2)],
)
def test_a_block_that_ends_with_nothing_ends_there(body: str, last: int) -> None:
    text = f"models:\n  a:\n    {body}\n\n  # more\n  b:\n    cmd: x\n"
    assert ConfigDocument.read(text).model("a").last_line == last


def test_comment_lines_are_no_part_of_a_command() -> None:
    document = ConfigDocument.read(OURS)
    assert document.command("MiniMax: M2") == "llama-server\n--ctx-size 131072\n"


def test_macros_are_put_in_from_the_last_to_the_first() -> None:
    document = ConfigDocument.read(MACROS)
    assert (
        document.command("a")
        == "/opt/llama-server --port ${PORT} --ctx-size 4096 --temp 0.7 --alias a"
    )


def test_a_models_macro_takes_the_place_of_the_global_one() -> None:
    assert ConfigDocument.read(MACROS).command("b").endswith("--ctx-size 8192 --jinja")


def test_a_macro_can_only_name_those_before_it() -> None:
    assert ConfigDocument.read(MACROS).command("c") == "x ${unknown}"


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("0.70", "0.7"),
        ("1.0", "1"),
        ("1000000.0", "1e+06"),
        ("0.00001", "1e-05"),
        ("0x10", "16"),
        ("True", "true"),
        ("007", "007"),
        ('"0.70"', "0.70"),
        ("-1", "-1"),
        ("123456.5", "123456.5"),
    ],
)
def test_a_number_is_printed_as_go_prints_it(written: str, printed: str) -> None:
    document = ConfigDocument.read(
        f"macros: {{x: {written}}}\nmodels: {{a: {{cmd: 'y ${{x}}'}}}}\n"
    )
    assert document.command("a") == f"y {printed}"


def test_merged_keys_give_way_to_own_ones() -> None:
    text = (
        "base: &base {cmd: llama-server -c 1024, ttl: 5}\n"
        "other: &other {cmd: llama-server -c 2048, name: x}\n"
        "models:\n  a:\n    <<: [*base, *other]\n  b:\n    <<: *base\n    cmd: llama-server\n"
    )
    document = ConfigDocument.read(text)
    assert document.context_size("a") == 1024
    assert document.context_size("b") is None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ("cmd: llama-server -c 4096", 4096),
        ("cmd: llama-server\n    env: [LLAMA_ARG_CTX_SIZE=8192]", 8192),
        ("cmd: llama-server -c 4096\n    env: [LLAMA_ARG_CTX_SIZE=8192]", 4096),
        ("cmd: llama-server -c 0\n    env: [LLAMA_ARG_CTX_SIZE=8192]", None),
        ("cmd: llama-server\n    env: [LLAMA_ARG_CTX_SIZE=1, LLAMA_ARG_CTX_SIZE=2]", 2),
        ("cmd: llama-server\n    env: [LLAMA_ARG_CTX_SIZE=lots]", None),
        ("cmd: llama-server", None),
        ("ttl: 5", None),
        ("cmd:", None),
        ("cmd: [llama-server, -c, 5]", None),
    ],
)
def test_the_context_size_of_a_model(body: str, tokens: int | None) -> None:
    assert ConfigDocument.read(f"models:\n  a:\n    {body}\n").context_size("a") == tokens


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="no model “peer”"):
        ConfigDocument.read(OURS).command("peer")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("models:\n  a: [1\n", 3, 1),
        ("models:\n\ta: 1\n", 2, 1),
        ("a: 1\nb:\n  x: 1\n  x: 2\n", 4, 3),
        ("a: 1\n'a': 2\n", 2, 1),
        ("a: *nothing\n", 1, 4),
        ("a: &a [*a]\n", 1, 4),
        ("a: \x07\n", 1, 4),
        ("\ufeffa: [\r\n]]", 2, 2),
        ("%FOO\n", 2, 1),
    ],
)
def test_what_does_not_parse_is_refused_with_line_and_column(
    text: str, line: int, column: int
) -> None:
    with pytest.raises(ConfigRefused, match="isn't valid YAML") as refused:
        ConfigDocument.read(text)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_another_version_of_yaml_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="isn't valid YAML"):
        ConfigDocument.read("%YAML 1.3\n---\na: 1\n")


def test_an_anchor_that_is_set_again_counts_from_there_on() -> None:
    text = "x: &c llama-server -c 1\ny: &c llama-server -c 2\nmodels: {a: {cmd: *c}}\n"
    assert ConfigDocument.read(text).context_size("a") == 2


@pytest.mark.parametrize("text", ["", "# only a comment\n", "word", "- a\n- b\n", "~"])
def test_anything_but_a_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused, match="no settings"):
        ConfigDocument.read(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "? ", "- ", "a: [\n"])
def test_hostile_nesting_is_refused(opening: str) -> None:
    with pytest.raises(ConfigRefused):
        ConfigDocument.read(opening * 20_000)


def test_merges_that_multiply_are_refused() -> None:
    lines = ["m0: &m0 {" + ", ".join(f"k{n}: {n}" for n in range(500)) + "}"]
    lines += [f"m{n}: &m{n} {{<<: *m{n - 1}}}" for n in range(1, 400)]
    lines.append("models:\n  a: {<<: *m399}")
    with pytest.raises(ConfigRefused, match="too many times"):
        ConfigDocument.read("\n".join(lines))


def test_macros_that_multiply_are_refused() -> None:
    macros = "".join(f"  m{n}: ${{m{n - 1}}}${{m{n - 1}}}\n" for n in range(1, 40))
    text = f"macros:\n  m0: xxxxxxxx\n{macros}models:\n  a:\n    cmd: ${{m39}}\n"
    with pytest.raises(ConfigRefused, match="too long"):
        ConfigDocument.read(text).command("a")


@given(st.text(st.sampled_from("ab:- \n&*|>'\"[]{},#?!<\t\r\ufeff%\\\x07\u2028")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = ConfigDocument.read(text)
    except ConfigRefused:
        return
    assert document.text == text


def test_the_variables_of_a_model_have_their_macros_expanded_and_the_last_one_counts() -> None:
    text = (
        "macros: {card: '1'}\n"
        "models:\n"
        "  a:\n"
        "    cmd: llama-server\n"
        "    env: ['CUDA_VISIBLE_DEVICES=${card}', A=1, A=2=3, nonsense]\n"
        "  b:\n"
        "    cmd: llama-server\n"
    )
    document = ConfigDocument.read(text)
    assert document.variables("a") == {"CUDA_VISIBLE_DEVICES": "1", "A": "2=3"}
    assert document.variables("b") == {}


def test_the_url_of_each_peer_is_known_with_its_macros() -> None:
    text = """\
macros:
  attic: 192.168.2.30
peers:
  attic:
    proxy: http://${attic}:8080
    models: [big]
  without: {models: [a]}
  odd: 3
"""
    assert ConfigDocument.read(text).peer_urls == {"attic": "http://192.168.2.30:8080"}


def test_a_file_without_peers_has_no_urls_of_them() -> None:
    assert ConfigDocument.read("peers: none\n").peer_urls == {}


def test_a_peer_whose_url_grows_without_end_has_none() -> None:
    text = f"macros: {{x: {'y' * 1000}}}\npeers: {{a: {{proxy: '{'${x}' * 100}'}}}}\nmodels: {{m: {{cmd: z}}}}\n"
    document = ConfigDocument.read(text)
    assert document.peer_urls == {}
    assert [block.id for block in document.models] == ["m"]
