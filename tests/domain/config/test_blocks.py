"""Whole models put into a config file and taken out."""

import pytest

from aitui.domain.config.blocks import (
    add_model,
    choose_template,
    model_files,
    model_folders,
    remove_model,
)
from aitui.domain.config.document import ConfigDocument
from aitui.errors import ConfigRefused

TEXT = """\
globalTTL: 1800
macros:
  dir: /srv/models
models:
  # the big one
  # with comments

  # of its own
  Qwen:
    aliases: [q]
    name: Qwen the big
    cmd: |
      /opt/llama-server --port ${PORT}
      --model /home/ai/models/Qwen.gguf  # not a comment
      --ctx-size 262144
    ttl: 60 # a minute

  MiniMax: # small
    cmd: >-
      /opt/llama-server --port ${PORT}
      -m "${dir}/Mini Max.gguf" -c 131072
    env: &env
      - A=b
# the end
groups:
  all: {members: [q]}
"""


def test_the_folders_and_files_that_a_config_uses() -> None:
    document = ConfigDocument.read(TEXT)
    assert model_folders(document) == ("/home/ai/models", "/srv/models")
    assert set(model_files(document)) == {"/home/ai/models/Qwen.gguf", "/srv/models/Mini Max.gguf"}


def test_a_file_of_the_environment_counts_and_a_relative_one_has_no_folder() -> None:
    text = "models:\n  a: {cmd: x, env: [LLAMA_ARG_MODEL=/m/a.gguf]}\n  b: {cmd: llama-server -m b.gguf}\n"
    document = ConfigDocument.read(text)
    assert model_folders(document) == ("/m",)
    assert set(model_files(document)) == {"/m/a.gguf", "b.gguf"}


def test_a_new_block_is_like_the_last_one_and_stands_behind_it() -> None:
    change = add_model(ConfigDocument.read(TEXT), "Gemma-3", "/srv/models/gemma.gguf")
    assert change.after == TEXT.replace(
        "      - A=b\n",
        "      - A=b\n\n  Gemma-3: # small\n    cmd: >-\n      /opt/llama-server --port ${PORT}\n"
        '      -m "/srv/models/gemma.gguf" -c 131072\n    env:\n      - A=b\n',
    )
    assert (change.model, change.old, change.new) == ("Gemma-3", None, "/srv/models/gemma.gguf")
    assert change.added


def test_a_new_block_like_another_leaves_out_what_is_that_ones_own() -> None:
    change = add_model(ConfigDocument.read(TEXT), "g", "/m/g.gguf", like="Qwen")
    assert change.after == TEXT.replace(
        "      - A=b\n",
        "      - A=b\n\n  g:\n    cmd: |\n      /opt/llama-server --port ${PORT}\n"
        "      --model /m/g.gguf  # not a comment\n      --ctx-size 262144\n"
        "    ttl: 60 # a minute\n",
    )


def test_a_new_block_keeps_windows_line_ends_and_a_missing_last_one() -> None:
    text = "models:\r\n  a:\r\n    cmd: llama-server -m /m/a.gguf"
    change = add_model(ConfigDocument.read(text), "b: c", "/m/b c.gguf")
    assert change.after == text + "\r\n  \"b: c\":\r\n    cmd: llama-server -m '/m/b c.gguf'"


def test_the_file_of_a_macro_is_replaced_for_the_new_model_alone() -> None:
    text = "macros: {f: /m/a.gguf}\nmodels:\n  a:\n    cmd: llama-server -m ${f}\n"
    change = add_model(ConfigDocument.read(text), "b", "/m/b.gguf")
    assert change.after == text + "  b:\n    cmd: llama-server -m /m/b.gguf\n"


def test_a_model_with_wrappers_or_debugging_flags_is_copied_last_and_they_are_named() -> None:
    traced = "  traced: {cmd: strace -f /opt/llama-server -m /m/a.gguf -v --log-file=/tmp/x}\n"
    seeing = "  seeing: {cmd: llama-server -m /m/b.gguf --mmproj /m/mmproj.gguf}\n"
    plain = "  plain: {cmd: env A=b llama-server -m /m/c.gguf -c 4096}\n"
    document = ConfigDocument.read(f"models:\n{plain}{traced}{seeing}")
    assert choose_template(document, ["traced", "seeing"]) == ("plain", ())
    assert choose_template(ConfigDocument.read(f"models:\n{traced}{seeing}"), ["traced"]) == (
        "traced",
        ("strace", "--verbose", "--log-file"),
    )


@pytest.mark.parametrize(
    ("text", "model", "path"),
    [
        (TEXT, "Qwen", "/m/x.gguf"),
        (TEXT, " ", "/m/x.gguf"),
        (TEXT, "a\nb", "/m/x.gguf"),
        (TEXT, "x", "/m/x\n.gguf"),
        ("models: {a: {cmd: llama-server -m x}}\n", "b", "/m/b.gguf"),
        ("models:\n  a: {cmd: llama-server -hf x}\n", "b", "/m/b.gguf"),
        ("models: {}\n", "b", "/m/b.gguf"),
        ("macros: {}\n", "b", "/m/b.gguf"),
    ],
)
def test_a_block_that_can_not_be_added_is_refused(text: str, model: str, path: str) -> None:
    with pytest.raises(ConfigRefused):
        add_model(ConfigDocument.read(text), model, path)


def test_a_removed_model_takes_the_comments_directly_above_it_along() -> None:
    document = ConfigDocument.read(TEXT.replace("[q]", "[]"))
    change = remove_model(document, "Qwen")
    first = document.text.index("\n  # of its own")
    last = document.text.index("\n  MiniMax")
    assert change.after == document.text[:first] + document.text[last:]
    assert change.new is None
    assert not change.added


def test_the_last_model_is_removed_without_what_follows() -> None:
    change = remove_model(ConfigDocument.read(TEXT), "MiniMax")
    first, last = TEXT.index("\n  MiniMax"), TEXT.index("# the end")
    assert change.after == TEXT[:first] + TEXT[last:]


def test_the_last_model_of_a_file_without_a_last_line_end_is_removed() -> None:
    text = "models:\r\n  a:\r\n    cmd: x\r\n  b:\r\n    cmd: y"
    assert remove_model(ConfigDocument.read(text), "b").after == "models:\r\n  a:\r\n    cmd: x"


def test_a_model_that_was_added_is_removed_to_the_same_bytes() -> None:
    text = "models:\n  a:\n    cmd: llama-server -m /m/a.gguf\n# end\n"
    added = add_model(ConfigDocument.read(text), "b", "/m/b.gguf").after
    assert remove_model(ConfigDocument.read(added), "b").after == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TEXT.replace("MiniMax", "a"), "The group all still names “q”"),
        ("models:\n  Qwen:\n    cmd: x\n", "only model"),
        ("models: {Qwen: {cmd: x}, b: {cmd: y}}\n", "shares its lines with other text"),
        ("models:\n  Qwen: &q\n    cmd: x\n  b:\n    <<: *q\n", "on its own"),
        (
            "models:\n  Qwen:\n    cmd: x\n  b:\n    cmd: y\nhooks: {on_startup: {preload: [Qwen]}}\n",
            "preload still names “Qwen”",
        ),
    ],
)
def test_a_model_that_something_else_needs_is_not_removed(text: str, why: str) -> None:
    with pytest.raises(ConfigRefused, match=why):
        remove_model(ConfigDocument.read(text), "Qwen")
