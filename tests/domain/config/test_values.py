"""Where a flag's value comes from."""

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.locate import ValueSource
from aitui.errors import ConfigRefused
from domain.config.edits import FlagValue, current_value

TEXT = """\
macros:
  ctx: 4096
  server: >-
    /opt/llama-server
    --temp 0.7
base: &base
  cmd: |
    /opt/llama-server
    -c 8192
models:
  own:
    cmd: |
      llama-server
      -c 1
      --ctx-size=2
  macro:
    cmd: ${server} --ctx-size ${ctx}
  merged:
    <<: *base
  merged too:
    <<: *base
  set:
    env:
      - A=b
      - LLAMA_ARG_CTX_SIZE=1024
    cmd: llama-server --port ${PORT}
  third:
    cmd: ${server}
  script:
    cmd: bash -c 'llama-server -c 12'
  pieces:
    cmd: llama-server -c ${ctx}0 --alias ${MODEL_ID}
  lone:
    cmd: &unused llama-server -c 77
"""

DOCUMENT = ConfigDocument.read(TEXT)


@pytest.mark.parametrize(
    ("model", "flag", "value"),
    [
        ("own", "-c", FlagValue("2", ValueSource.COMMAND, 15)),
        ("macro", "-c", FlagValue("4096", ValueSource.MACRO, 2, "ctx", ("pieces",))),
        ("macro", "--temp", FlagValue("0.7", ValueSource.MACRO, 5, "server", ("third",))),
        ("merged", "--ctx-size", FlagValue("8192", ValueSource.ANCHOR, 9, "base", ("merged too",))),
        ("set", "ctx-size", FlagValue("1024", ValueSource.ENVIRONMENT, 25)),
        ("script", "-c", FlagValue("12", ValueSource.COMMAND, 30)),
        ("pieces", "-c", FlagValue("40960", ValueSource.COMMAND, 32)),
        ("pieces", "-a", FlagValue("pieces", ValueSource.COMMAND, 32)),
        ("lone", "-c", FlagValue("77", ValueSource.COMMAND, 34)),
        ("own", "--top-k", None),
    ],
)
def test_where_a_value_comes_from(model: str, flag: str, value: FlagValue | None) -> None:
    assert current_value(DOCUMENT, model, flag) == value


def test_a_shared_environment_is_named_by_its_anchor() -> None:
    text = (
        "e: &env [LLAMA_ARG_CTX_SIZE=5]\nmodels: {a: {cmd: x, env: *env}, b: {cmd: x, env: *env}}\n"
    )
    value = current_value(ConfigDocument.read(text), "a", "-c")
    assert value == FlagValue("5", ValueSource.ENVIRONMENT, 1, "env", ("b",))


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="no model"):
        current_value(DOCUMENT, "nobody", "-c")
