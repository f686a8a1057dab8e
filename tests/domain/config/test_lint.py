"""What is wrong with a config file, with its place, before llama-swap says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.keys import MODEL, TOP
from aitui.domain.config.lint import (
    MOST_DIAGNOSTICS,
    Diagnostic,
    find_diagnostics,
    new_diagnostics,
)
from aitui.domain.release import UNKNOWN, ServerRelease

# Written like the example that llama-swap comes with: every key once.
EXAMPLE = """\
healthCheckTimeout: 500
logLevel: info
logTimeFormat: "rfc3339"
logToStdout: "proxy"
metricsMaxInMemory: 1000
captureBuffer: 15
startPort: 10001
sendLoadingState: true
includeAliasesInList: no
globalTTL: 0
apiKeys: ["sk-${env.KEY}"]
performance:
  every: 15s
macros:
  "latest-llama": >
    /path/to/llama-server/llama-server-ec9e0301
    --port ${PORT}
  "default_ctx": 4096
  "default_args": "--ctx-size ${default_ctx}"
models:
  "llama":
    macros:
      "default_ctx": 16384
      "temp": 0.7
    cmd: |
      # ${latest-llama} is a macro that is defined above
      ${latest-llama}
      --model path/to/llama-8B-Q4_K_M.gguf
      --ctx-size ${default_ctx}
      --temperature ${temp}
    name: "llama 3.1 8B"
    description: "A small but capable model used for quick testing"
    env:
      - "CUDA_VISIBLE_DEVICES=0,1,2"
    proxy: http://127.0.0.1:${PORT}
    aliases:
      - "gpt-4o-mini"
    checkEndpoint: /custom-endpoint
    ttl: 60
    useModelName: "qwen:qwq"
    filters:
      stripParams: "temperature, top_p, top_k"
      setParams:
        stop: ["a"]
      setParamsByID:
        "${MODEL_ID}:high": {reasoning_effort: high}
    metadata:
      port: ${PORT}
      anything: [1, {deep: true}]
    concurrencyLimit: 0
    sendLoadingState: false
    unlisted: true
    timeouts: {connect: 30, idleConn: 0}
    capabilities: {in: [text, image], tools: true, context: "${default_ctx}"}
  "qwen-unlisted":
    cmd: llama-server --port ${PORT} -m qwen.gguf
    unloadTimeout: 5
  "docker-llama":
    proxy: "http://127.0.0.1:9790"
    cmd: docker run --name ${MODEL_ID} --init --rm -p 9790:8080 image --model x
    cmdStop: docker stop ${MODEL_ID} ${PID}
groups:
  "group1":
    swap: true
    exclusive: true
    members: ["llama", "qwen-unlisted"]
  "forever":
    persistent: true
    swap: false
    members: ["docker-llama"]
hooks:
  on_startup:
    preload: ["llama", gpt-4o-mini]
peers:
  openrouter:
    proxy: https://openrouter.ai/api
    apiKey: ${env.OPENROUTER}
    models: [meta-llama/llama-3.1-8b]
    filters: {setParams: {provider: {data_collection: deny}}}
"""


def test_a_file_like_llama_swaps_own_example_is_without_problems() -> None:
    assert find_diagnostics(EXAMPLE) == ()


def test_anchors_merges_and_extensions_are_without_problems() -> None:
    text = (
        "x-any: 1\nshared: &s {ttl: 5, env: &e [A=b]}\n"
        "models:\n  a: &a\n    <<: *s\n    cmd: llama-server --port ${PORT}\n  b:\n    <<: [*a, *s]\n"
    )
    assert find_diagnostics(text) == ()


MODEL_A = "models:\n  a:\n    cmd: llama-server --port ${PORT}\n"


def test_the_keys_of_newer_releases_are_known() -> None:
    text = (
        MODEL_A + "    disableKeepAlives: true\n    capabilities: {disableAuto: true}\n"
        "tailcat: {allow: ['*'], models: [a], admin: false, debug: false}\n"
        "globalConcurrencyLimit: 8\nsecurity: {cors: {allowedOrigins: ['https://x'], maxAge: 60}}\n"
        "hooks: {on_startup: {profile: p}}\n"
        "peers: {p: {proxy: 'tailcat://t', models: [m], tailcatKey: ephemeral}}\n"
    )
    assert find_diagnostics(text) == ()
    assert (TOP.keys["security"].since, MODEL.keys["disableKeepAlives"].since) == (257, 263)


@pytest.mark.parametrize(
    ("text", "line", "column", "words", "fatal"),
    [
        ("models:\n  a: [\n", 3, 1, "flow", True),
        ("a: 1\nb: {c: 1, c: 2}\n", 2, 11, "“c” appears twice", True),
        ("- a\n", 1, 1, "not a mapping", True),
        (MODEL_A + "globalTLL: 5\n", 4, 1, "no key “globalTLL” here. Did you mean “globalTTL”?", False),
        (MODEL_A + "    ctx: 5\n", 4, 5, "no key “ctx” here", False),
        (MODEL_A + '    ttl: "5"\n', 4, 10, "ttl takes a whole number", True),
        (MODEL_A + "    ttl: -2\n", 4, 10, "ttl takes -1 or more", True),
        (MODEL_A + "    unlisted: perhaps\n", 4, 15, "unlisted takes true or false", True),
        (MODEL_A + "    aliases: b\n", 4, 14, "aliases takes a list", True),
        (MODEL_A + "    env: {A: b}\n", 4, 10, "env takes a list", True),
        (MODEL_A + "    env: [lower case]\n", 4, 11, "An entry of env has a special form", False),
        (MODEL_A + "    name: [x]\n", 4, 11, "name takes text", True),
        (MODEL_A + "  b: x\n", 4, 6, "b takes a mapping", True),
        (MODEL_A + "healthCheckTimeout: 5\n", 4, 21, "takes 15 or more", False),
        (MODEL_A + "logToStdout: all\n", 4, 14, "takes proxy, upstream, both, none", True),
        (MODEL_A + "logLevel: loud\n", 4, 11, "takes debug, info", False),
        (MODEL_A + "startPort: 0\n", 4, 12, "takes 1 or more", True),
        (MODEL_A + "globalTTL: soon\n", 4, 12, "globalTTL takes a whole number", True),
        (MODEL_A + "performance: {every: often}\n", 4, 22, "every has a special form", False),
        (MODEL_A + "groups: {g: {swap: true}}\n", 4, 13, "g has no members", False),
        (MODEL_A + "groups: {g: {members: [b]}}\n", 4, 24, "the unknown model b", False),
        (MODEL_A + "groups: {g: {members: [a, a]}}\n", 4, 27, "is already in the group g", True),
        (MODEL_A + "hooks: {on_startup: {preload: [b]}}\n", 4, 32, "Preload names the unknown", False),
        (MODEL_A + "matrix: {vars: {x: b}, sets: {}}\n", 4, 20, "The matrix names", True),
        (MODEL_A + "groups: {}\nmatrix: {vars: {}, sets: {}}\n", 5, 1, "exclude each other", True),
        (MODEL_A + "    aliases: [b, b]\n", 4, 18, "already has the alias b", True),
        (MODEL_A + "    aliases: [a]\n", 4, 15, "alias a is a model's id", False),
        (MODEL_A + "apiKeys: ['a b']\n", 4, 11, "API key", True),
        (MODEL_A + "  b:\n    cmd: x ${PORT} ${nmae}\n    macros: {name: y}\n", 5, 5, "Did you mean “name”?", True),
        (MODEL_A + "  b:\n    ttl: 5\n", 4, 3, "b has no cmd", True),
        (MODEL_A + "  b:\n    cmd: llama-server\n", 4, 3, "b doesn't use ${PORT}", True),
        (MODEL_A + "  b: {cmd: '', proxy: 'http://x'}\n", 4, 3, "b has no cmd", False),
        (MODEL_A + "macros: {PORT: 1}\n", 4, 10, "reserved by llama-swap", True),
        (MODEL_A + "macros: {x: 'a ${x}'}\n", 4, 10, "refers to itself", True),
        (MODEL_A + "macros: {a b: 1}\n", 4, 10, "is not a valid macro name", True),
        (MODEL_A + "    <<: 5\n", 4, 5, "Only mappings can be merged", True),
    ],
)  # fmt: skip
def test_a_problem_with_its_place(
    text: str, line: int, column: int, words: str, fatal: bool
) -> None:
    found = find_diagnostics(text)
    assert [problem for problem in found if words in problem.words] == [
        Diagnostic(line, column, next(p.words for p in found if words in p.words), fatal)
    ]


def test_a_file_none_of_whose_models_has_a_port_is_not_fatal() -> None:
    (problem,) = find_diagnostics("models:\n  a:\n    cmd: llama-server -m x\n")
    assert "${PORT}" in problem.words
    assert not problem.fatal


def test_problems_come_in_the_order_of_the_text() -> None:
    found = find_diagnostics("nonsense: 1\nmodels:\n  a: {ttl: x, more: 1}\n  b: 5\nlast: 2\n")
    assert list(found) == sorted(found, key=lambda problem: (problem.line, problem.column))
    assert len(found) >= 5


def test_there_is_an_end_to_problems() -> None:
    assert len(find_diagnostics("".join(f"wrong{n}: 1\n" for n in range(1000)))) == MOST_DIAGNOSTICS


def test_only_what_a_change_made_worse_is_new() -> None:
    before = MODEL_A + "  b:\n    ttl: x\n"
    after = "# more\n" + before + "  c: 5\n"
    assert new_diagnostics(before, before) == ()
    assert [problem.words for problem in new_diagnostics(before, after)][-1] == (
        "c takes a mapping."
    )


def test_words_from_the_file_are_harmless() -> None:
    found = find_diagnostics('"evil\\e]0;title\\a": 1\nmodels: {a: {"\\u202e": 1}}\n')
    assert found
    assert not any("\x1b" in one.words or "\u202e" in one.words for one in found)


YAMLISH = st.lists(
    st.sampled_from(
        ["models", "macros", "groups", ":", ": ", "\n", "\n  ", "\n    ", "- ", "a", "cmd", "ttl",
         "&x ", "*x", "<<", "[", "]", "{", "}", ",", "|", ">", "'", '"', "${a}", "${PORT}", "#", "5",
         "members", "!!str ", "? ", "~", "env", "\ufeff", "\x00", "\x85", "...", "---"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(YAMLISH)
def test_no_text_makes_it_raise(text: str) -> None:
    for problem in find_diagnostics(text):
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.words


BLOCK = "models:\n  owl:\n    cmd: llama-server --port ${PORT} -m /m/owl.gguf -c 8192\n"


def fatal(text: str) -> list[str]:
    return [found.words for found in find_diagnostics(text) if found.fatal]


@pytest.mark.parametrize(
    "text",
    [
        f"macros:\n  rest: 600\n{BLOCK}    ttl: ${{rest}}\n",
        f'macros:\n  rest: 600\n{BLOCK}    ttl: "${{rest}}"\n',
        f"{BLOCK}    ttl: ${{env.REST}}\n    concurrencyLimit: ${{env.MANY}}\n",
        f"globalTTL: ${{env.REST}}\nstartPort: ${{env.PORTS}}\n{BLOCK}",
        f"sendLoadingState: ${{env.SHOWN}}\nlogToStdout: ${{env.STREAMS}}\n{BLOCK}",
        f"apiKeys: [${{env.KEY}}, ${{env.OTHER}}]\n{BLOCK}",
        f"{BLOCK}    filters: {{setParams: {{stop: ${{env.STOP}}}}}}\n",
    ],
)
def test_what_is_substituted_has_the_type_of_what_it_stands_for(text: str) -> None:
    assert fatal(text) == []


@pytest.mark.parametrize(
    "value", ["proxy", "both", "none", "http", "proxy,http", " upstream , http"]
)
def test_log_streams_may_be_a_list(value: str) -> None:
    assert fatal(f'logToStdout: "{value}"\n{BLOCK}') == []


@pytest.mark.parametrize("value", ["", "proxy,", "proxy,both", "stdout"])
def test_other_log_streams_keep_the_server_from_starting(value: str) -> None:
    assert "logToStdout takes" in " ".join(fatal(f'logToStdout: "{value}"\n{BLOCK}'))


@pytest.mark.parametrize("value", ["", "~", "null", "[a, b]", "{a: b}", "2026-11-28"])
def test_a_macro_is_text_a_number_or_a_switch(value: str) -> None:
    words = "The macro extra must be text, a number, true or false."
    assert words in fatal(f"macros:\n  extra: {value}\n{BLOCK}")
    assert words in fatal(f"{BLOCK}    macros:\n      extra: {value}\n")


@pytest.mark.parametrize("value", ["''", "3", "1.5", "true", "-ngl 99", "'2026-11-28'"])
def test_a_macro_may_be_any_single_value(value: str) -> None:
    assert fatal(f"macros:\n  extra: {value}\n{BLOCK}") == []


@pytest.mark.parametrize("text", [f"{BLOCK}---\n", f"---\n{BLOCK}---\nmodels: [none]\n"])
def test_only_the_first_document_counts(text: str) -> None:
    assert fatal(text) == []


def test_requests_may_be_logged() -> None:
    assert find_diagnostics(f"logRequests: true\n{BLOCK}") == ()


BODY = "models:\n  a:\n    cmd: llama-server --port ${PORT} -m /a.gguf\n"
V218, V250, V252, V256, V263, V270 = (
    ServerRelease(number, number + 1) for number in (218, 250, 252, 256, 263, 270)
)
SINCE_V257 = "security:\n  cors: {allowedOrigins: ['*'], maxAge: 60}\n"
VIDEO = "    capabilities: {in: [text, video]}\n"


def found_in(text: str, release: ServerRelease) -> list[tuple[str, bool]]:
    """What is wrong for a server of that age, and whether it is fatal."""
    return [(found.words, found.fatal) for found in find_diagnostics(text + BODY, release)]


@pytest.mark.parametrize("release", [UNKNOWN, V263, V270, ServerRelease(257)])
def test_a_key_is_fine_if_the_server_is_not_known_to_be_older(release: ServerRelease) -> None:
    assert found_in(SINCE_V257, release) == []


@pytest.mark.parametrize("release", [V218, V256, ServerRelease(0, 257)])
def test_a_key_that_is_newer_than_the_server_is_ignored_by_it(release: ServerRelease) -> None:
    ((words, fatal),) = found_in(SINCE_V257, release)
    assert words.startswith("security came with llama-swap v257; the server")
    assert words.endswith("is older and ignores it.")
    assert not fatal


@pytest.mark.parametrize("keys", ["disableKeepAlives: true", "capabilities: {disableAuto: true}"])
def test_keys_of_a_model_have_their_release_as_well(keys: str) -> None:
    text = f"{BODY}    {keys}\n"
    assert find_diagnostics(text, V263) == ()
    (found,) = find_diagnostics(text, V256)
    assert (found.line, found.fatal) == (4, False)


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("logToStdout: proxy,http\n", V256, V263),
        ("logToStdout: http\n", V250, V263),
        ("logToStdout: 'proxy, upstream'\n", ServerRelease(0, 259), ServerRelease(259)),
    ],
)
def test_a_value_that_is_newer_than_the_server_is_fatal_if_it_refuses_it(
    key: str, old: ServerRelease, new: ServerRelease
) -> None:
    ((words, fatal),) = found_in(key, old)
    assert "from llama-swap v259 on; the server" in words
    assert fatal
    assert found_in(key, new) == found_in(key, UNKNOWN) == []


def test_video_is_fatal_below_v252_alone() -> None:
    (found,) = find_diagnostics(BODY + VIDEO, V250)
    assert (found.line, found.fatal) == (4, True)
    assert find_diagnostics(BODY + VIDEO, V252) == ()
    # v218 ignores all of `capabilities`.
    (ignored,) = find_diagnostics(BODY + VIDEO, V218)
    assert not ignored.fatal


@pytest.mark.parametrize("value", ["both", "none", "proxy", "${env.LOGS}"])
def test_values_of_every_release_are_fine(value: str) -> None:
    assert found_in(f"logToStdout: {value}\n", V218) == []


def test_unknown_newer_than_the_server_and_newer_than_aitui_are_told_apart() -> None:
    text = "brandNew: 1\n"
    assert found_in(text, V263) == [("llama-swap has no key “brandNew” here.", False)]
    ((newer, fatal),) = found_in(text, V270)
    assert (
        newer
        == "“brandNew” is not a key that llama-swap has here, up to v263, the newest that aitui knows."
    )
    assert not fatal
    assert "Did you mean “globalTTL”?" in found_in("globalTLL: 5\n", V270)[0][0]


def test_a_change_that_brings_in_what_the_server_is_too_old_for_is_found() -> None:
    after = "logToStdout: proxy,http\n" + BODY
    assert [found.fatal for found in new_diagnostics(BODY, after, V250)] == [True]
    assert new_diagnostics(BODY, after, V263) == ()


@pytest.mark.parametrize("number", [251, 252, 253, 256, 257, 259, 263])
def test_every_key_of_the_reference_is_fine_from_its_release_on(number: int) -> None:
    text = (
        "hooks: {on_startup: {profile: p}}\nprofiles: {p: {pins: {a: a}}}\n" * (number >= 252)
        + "tailcat: {allow: ['*'], models: [a], admin: false, debug: true}\n" * (number >= 253)
        + "globalConcurrencyLimit: 4\n" * (number >= 256)
        + SINCE_V257 * (number >= 257)
        + "logToStdout: proxy,http\n" * (number >= 259)
        + "healthCheckTimeout: 15\n"
    )
    model = BODY + VIDEO * (number >= 252) + "    disableKeepAlives: true\n" * (number >= 263)
    assert find_diagnostics(text + model, ServerRelease(number, number + 1)) == ()
