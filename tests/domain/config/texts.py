"""Config files as people write them: texts in any mixture of styles, not dumps of objects."""

from dataclasses import dataclass

from hypothesis import strategies as st

ID_CHARACTERS = "abzAZ059_.-/: äßЖ模🦙'\"#{}[],&*!|>%@`\\"


@dataclass(frozen=True)
class Written:
    """A config file; the ids of its models, and whether each one has a context size."""

    text: str
    sizes: dict[str, int | None]


sizes = st.integers(1, 10_000_000)
comments = st.sampled_from(
    ["", "", "\n", "# plain\n", "  # -c 4096: \"quoted' |\n", "    #cmd: |\n", "\n\n# ü\n\n"]
)
flag_forms = st.sampled_from(
    ["--ctx-size {}", "--ctx-size={}", "-c {}", "--ctx_size {}", "-c   {}", "--ctx-size '{}'",
     '-c "{}"', '--ctx-size="{}"']
)  # fmt: skip
others = st.lists(
    st.sampled_from(
        ["-m /m/a.gguf", "--temp 0.7", "-ngl 99", "--jinja", "--port ${PORT}", "-fa on",
         "--alias 'a b'", "--seed -1", "--chat-template-kwargs '{\"a\":\"-c 5\"}'", "-c 77"]
    ),
    max_size=4,
)  # fmt: skip
servers = st.sampled_from(
    ["llama-server", "/opt/llama.cpp/build/bin/llama-server", "taskset -c 0-7 llama-server",
     "docker run --rm -c 5 ghcr.io/ggml-org/llama.cpp:server-cuda"]
)  # fmt: skip


@st.composite
def commands(draw: st.DrawFn, flag: str) -> str:
    """A command as YAML, its further lines indented by six, with `flag` as its last `-c`."""
    words = [draw(servers), *draw(others), *([flag] if flag else [])]
    words += draw(st.lists(st.sampled_from(["-v", "--top-k 4", "-ub 512"]), max_size=2))
    if not flag:
        words = [word for word in words if word != "-c 77"]
    return draw(spelled_commands(words))


@st.composite
def spelled_commands(draw: st.DrawFn, words: list[str]) -> str:
    """These words as a scalar of any style."""
    style = draw(st.sampled_from("|>'\"p"))
    if style in "|>":
        header = style + draw(st.sampled_from(["", "-", "+", "2", "2-", " # c"]))
        extra = draw(st.sampled_from(["", "  "]))
        # Folded, a backslash or a comment would stand in the middle of a line.
        continued = [" \\\n", "\n      # -c 4096\n"] if style == "|" else []
        ending = draw(st.sampled_from(["\n", "\n\n", *continued]))
        lines = (f"{ending}      {extra}").join(words)
        return f"{header}\n      {lines}\n"
    joined = draw(st.sampled_from([" ", "\n      "])).join(words)
    if style == "'":
        return "'" + joined.replace("'", "''") + "'\n"
    if style == '"':
        escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
        return (
            '"' + escaped.replace("\n", draw(st.sampled_from(["\n", " \\\n", "\\n\\\n"]))) + '"\n'
        )
    return joined + draw(st.sampled_from(["\n", " # c\n"]))


@st.composite
def keys(draw: st.DrawFn, model_id: str) -> str:
    """An id as a key, quoted where it has to be and sometimes where not."""
    plain = model_id[0].isalpha() and all(one.isalnum() or one in "_-." for one in model_id)
    if plain and draw(st.booleans()):
        return model_id
    if draw(st.booleans()):
        return "'" + model_id.replace("'", "''") + "'"
    return '"' + model_id.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def bodies(draw: st.DrawFn, size: int, shared: dict[str, int]) -> tuple[str, int | None]:
    """The keys of a model, indented by four, and the context size that it has."""
    kind = draw(st.sampled_from(["own", "own", "own", "macro", "server", "base", "env", "none"]))
    more = draw(st.sampled_from(["", "    ttl: 5 # s\n", "    aliases:\n      - é\n    name: x\n"]))
    if kind == "macro":
        return "    cmd: " + draw(commands("-c ${size}")) + more, shared["size"]
    if kind == "server":
        return "    cmd: ${server} --temp 1\n" + more, shared["server"]
    if kind == "base":
        return "    <<: *base\n" + more, shared["base"]
    if kind == "none":
        return "    cmd: " + draw(commands("")) + more, None
    if kind == "env":
        env = f"    env:\n      - A=-c 5\n      - LLAMA_ARG_CTX_SIZE={size}\n"
        return env + "    cmd: " + draw(commands("")), size
    flag = draw(flag_forms).format(size)
    body = "    cmd: " + draw(commands(flag))
    return (more + body, size) if draw(st.booleans()) else (body + more, size)


@st.composite
def config_texts(draw: st.DrawFn) -> Written:
    """A whole file."""
    shared = {name: draw(sizes) for name in ("size", "server", "base")}
    text = draw(comments) + "globalTTL: 1800\n" + draw(comments)
    text += f"macros:\n  size: {shared['size']}\n  server: >-\n    llama-server\n"
    text += f"    --ctx-size {shared['server']}\n" + draw(comments)
    text += f"base: &base\n  cmd: |\n    llama-server\n    -c {shared['base']} -v\n"
    text += "models:\n"
    found: dict[str, int | None] = {}
    ids = st.text(ID_CHARACTERS, min_size=1, max_size=8).filter(lambda one: one.strip() != "<<")
    for model_id in draw(st.lists(ids, min_size=1, max_size=4, unique=True)):
        body, size = draw(bodies(draw(sizes), shared))
        text += draw(comments) + "  " + draw(keys(model_id)) + ":\n"
        # No command has a port, which llama-swap's default proxy would need.
        text += "    proxy: http://127.0.0.1:9\n" + body
        found[model_id] = size
    text += draw(st.sampled_from(["", "\n\n", "# end\n", "hooks: {}\n"]))
    if draw(st.booleans()):
        text = text.rstrip("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return Written(draw(st.sampled_from(["", "\ufeff"])) + text, found)
