"""Where files live."""

import sys
from pathlib import Path

import pytest

from aitui.paths import Paths, home_directory

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")


@on_linux
def test_without_variables_the_usual_places_below_home() -> None:
    paths = Paths.from_environment({"HOME": "/home/ada"})
    assert paths.config == Path("/home/ada/.config/aitui")
    assert paths.data == Path("/home/ada/.local/share/aitui")
    assert paths.state == Path("/home/ada/.local/state/aitui")
    assert paths.cache == Path("/home/ada/.cache/aitui")


@pytest.mark.parametrize("kind", ["config", "data", "state", "cache"])
def test_a_variable_names_another_place(kind: str) -> None:
    environment = {"HOME": "/home/ada", f"XDG_{kind.upper()}_HOME": "/elsewhere"}
    assert getattr(Paths.from_environment(environment), kind) == Path("/elsewhere/aitui")


@on_linux
@pytest.mark.parametrize("text", ["", "relative/path"])
def test_a_place_that_is_not_absolute_is_ignored(text: str) -> None:
    paths = Paths.from_environment({"HOME": "/home/ada", "XDG_CONFIG_HOME": text})
    assert paths.config == Path("/home/ada/.config/aitui")


def test_everything_below_one_directory(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    assert {paths.config.parent, paths.data.parent, paths.state.parent, paths.cache.parent} == {
        tmp_path
    }


def test_home_is_what_the_system_knows_where_the_variable_is_missing() -> None:
    assert home_directory({}) == Path.home()
