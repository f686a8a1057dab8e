"""A server that is added to config.toml: everything else stays as it was."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.errors import ActionRefused, SettingsError
from aitui.settings.new_server import add_server, check_name, suggest_name

VALUES = {"url": "https://ai.example.org", "certs_dir": "~/certs", "ssh_host": "me@box"}
LINES = 'url = "https://ai.example.org"\ncerts_dir = "~/certs"\nssh_host = "me@box"\n'
COMMENTED = """\
# What I use.
fps = 10   # slow line

[clients]
"192.168.2.20" = "phone"

# The lab.
[servers.lab]
url = "http://lab:8080"   # not always on
colour = "green"
"""


def test_the_first_server_is_the_default() -> None:
    assert add_server("", "home", VALUES) == f'default = "home"\n\n[servers.home]\n{LINES}'


def test_comments_order_and_other_values_stay() -> None:
    changed = add_server(COMMENTED, "home", VALUES)
    assert changed == f'default = "home"\n\n{COMMENTED}\n[servers.home]\n{LINES}'


def test_a_default_stays() -> None:
    before = 'default = "lab"\n' + COMMENTED
    assert add_server(before, "home", VALUES) == f"{before}\n[servers.home]\n{LINES}"


@pytest.mark.parametrize("before", ["", 'fps = 10\n[servers.lab]\nurl = "http://lab"\n'])
def test_line_endings_and_byte_order_mark_stay(before: str) -> None:
    windows = "\ufeff" + before.replace("\n", "\r\n")
    expected = "\ufeff" + add_server(before, "home", VALUES).replace("\n", "\r\n")
    assert add_server(windows, "home", VALUES) == (
        expected if before else expected.replace("\r", "")
    )


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ActionRefused) as caught:
        add_server(COMMENTED, "lab", VALUES)
    assert "its url is http://lab:8080" in str(caught.value)


def test_with_force_only_the_connection_is_replaced() -> None:
    changed = add_server(COMMENTED, "lab", VALUES, replace=True)
    expected = COMMENTED.replace('url = "http://lab:8080"   # not always on\n', LINES)
    assert changed == f'default = "lab"\n\n{expected}'


@pytest.mark.parametrize(
    "before",
    [
        'servers = {lab = {url = "http://lab"}}\n',
        'x = """\n[servers.lab]\nurl = "http://lab"\n"""\n[servers.lab]\nurl = "http://lab"\n',
        'servers.lab = {url = "http://lab", colour = "red"}\n',
    ],
)
def test_a_file_that_cannot_be_added_to_is_left_alone(before: str) -> None:
    with pytest.raises(SettingsError) as caught:
        add_server(before, "lab", VALUES, replace=True)
    assert "[servers.lab]" in caught.value.remedy
    assert 'url = "https://ai.example.org"' in caught.value.remedy


@given(
    name=st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1),
    path=st.text(st.characters(exclude_categories=["C"])),
)
def test_any_name_and_value_is_read_back(name: str, path: str) -> None:
    name = f"x{name}"
    read = tomllib.loads(add_server(COMMENTED, name, {"url": "https://x", "ca": path}))
    assert read["servers"][name] == {"url": "https://x", **({"ca": path} if path else {})}
    assert read["servers"]["lab"]["colour"] == "green"


@pytest.mark.parametrize(
    ("url", "taken", "name"),
    [
        ("http://localhost:8080", (), "local"),
        ("http://127.0.0.1:8080", ("local", "local-2"), "local-3"),
        ("https://ai.example.org/llama", (), "ai"),
        ("http://192.168.2.3:8080", (), "192.168.2.3"),
        ("http://[fd00::1]:8080", (), "fd00::1"),
    ],
)
def test_the_suggested_name_is_short_and_free(url: str, taken: tuple[str, ...], name: str) -> None:
    assert suggest_name(url, dict.fromkeys(taken)) == name
    check_name(name)
