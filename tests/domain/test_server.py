"""A server of the settings, by what its URL is."""

import pytest

from aitui.domain.server import Server


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("https://ai.example.org", "HTTPS://AI.example.org:443/"),
        ("http://localhost:8080/swap", "http://localhost:8080/swap/"),
        ("http://box", "http://me:secret@box:80"),
    ],
)
def test_a_url_is_the_same_however_it_is_written(own: str, other: str) -> None:
    assert Server(url=own, identity="box").has_url(other)


@pytest.mark.parametrize(
    "other",
    [
        "",
        "http://ai.example.org",
        "https://ai.example.org/x",
        "https://ai.example.org:x",
        "http://[",
    ],
)
def test_another_url_is_not(other: str) -> None:
    assert not Server(url="https://ai.example.org", identity="box").has_url(other)
