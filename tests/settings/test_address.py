"""URLs: one form for every spelling, and words that help for what is none."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.errors import SettingsError
from aitui.settings.address import read_address, with_scheme
from aitui.settings.raw import RawValue


def url_of(text: str) -> str:
    return read_address(RawValue.from_flag("--url", text)).url


def refusal(text: object) -> str:
    with pytest.raises(SettingsError) as caught:
        read_address(RawValue.from_flag("--url", text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("  https://ai.example.org\n", "https://ai.example.org"),
        ("HTTPS://AI.Example.ORG:443", "https://ai.example.org"),
        ("http://ai.example.org:80/", "http://ai.example.org"),
        ("https://ai.example.org:80", "https://ai.example.org:80"),
        ("https://ai.example.org/llama/swap/", "https://ai.example.org/llama/swap"),
        ("https://ai.example.org/a%20b", "https://ai.example.org/a%20b"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[0:0::1]", "http://[::1]"),
        ("http://192.168.2.3", "http://192.168.2.3"),
        ("https://me:secret@ai.example.org", "https://ai.example.org"),
    ],
)
def test_a_url_has_one_form(written: str, read: str) -> None:
    assert url_of(written) == read


def test_user_info_is_kept_beside_the_url_and_out_of_sight() -> None:
    address = read_address(RawValue.from_flag("--url", "https://me:s%40cret@ai.example.org"))
    assert address.user_info == ("me", "s@cret")
    assert "cret" not in repr(address)


@pytest.mark.parametrize(
    ("written", "proposed"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("192.168.2.3:8080/x", "http://192.168.2.3:8080/x"),
        ("[fd00::1]:8080", "http://[fd00::1]:8080"),
        ("tower", "http://tower"),
        ("tower.local", "http://tower.local"),
        ("ai.example.org", "https://ai.example.org"),
        ("8.8.8.8", "https://8.8.8.8"),
        ("http:/ai.example.org", "http://ai.example.org"),
        ("//ai.example.org", "https://ai.example.org"),
        ("https://", "https://ai.example.org"),
        ("", "https://ai.example.org"),
    ],
)
def test_a_missing_scheme_is_proposed(written: str, proposed: str) -> None:
    assert refusal(written).endswith(f"like {proposed}")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ftp://ai.example.org", "http:// or https://"),
        ("https://ai.example.org/?a=b", "without query"),
        ("https://ai.example.org/#top", "without query"),
        ("https://ai.example.org?", "without query"),
        ("https://ai.example.org:99999", "a port from 1 to 65535"),
        ("https://ai.example.org:0", "a port from 1 to 65535"),
        ("https://ai.example.org:http", "a port from 1 to 65535"),
        ("https://:8080", "a host name"),
        ("https://a..b", "a host name"),
        ("https://-x", "a host name"),
        ("https://[::1", "a host name"),
        ("https://[fe80::1%25eth0]", "without zone"),
        ("https://1.2.3.256", "an IPv4 address"),
        ("https://bücher.example", "xn--"),
        ("https://ai.example.org/a b", "without spaces"),
        ("https://ai.exa\x1b[2Jmple.org", "without spaces"),
        ("https://ai.example.org/../x", "without . and .."),
        ("https://ai.example.org/%zz", "encoded with %"),
        ("https://ai.example.org\\x", "a host name"),
        (8080, "in quotes"),
    ],
)
def test_what_is_no_url_is_told_what_would_be(written: object, expected: str) -> None:
    assert expected in refusal(written)


@pytest.mark.parametrize(
    "written",
    [
        "https://me:secret@ai.example.org/?q",
        "me:secret@ai.example.org",
        "https://me:se/secret@x@ai.example.org:99999",
        "ftp://me:secret@ai.example.org",
        "https://me:secrét@ai.example.org",
        "https://ai.example.org/?api_key=secret",
        "https://ai.example.org/#secret",
        "ai.example.org?api_key=secret",
        "ftp://ai.example.org/\n?api_key=secret\nsecret",
    ],
)
def test_a_secret_is_in_no_message(written: str) -> None:
    assert "secr" not in refusal(written)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(SettingsError):
        read_address(RawValue.from_flag("--url", text))


@given(st.text("\x00\x07\x1b\x9b[]2J;\u202e", min_size=1))
def test_a_refusal_steers_no_terminal(text: str) -> None:
    assert not set(refusal(text)) & set("\x00\x07\x1b\x9b\u202e")


AUTHORITIES = st.text("a1.:@[]%/?#\\ -é\x00", max_size=20)


@given(st.sampled_from(["http://", "https://", "HTTP://", "http:", ""]), AUTHORITIES)
def test_reading_a_url_again_changes_nothing(scheme: str, rest: str) -> None:
    try:
        url = url_of(scheme + rest)
    except SettingsError:
        return
    assert url_of(url) == url
    assert not set(url) & set("?#@ ")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("192.168.2.3:8080", "http://192.168.2.3:8080"),
        ("box.lan", "http://box.lan"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("ai.example.org/llm", "https://ai.example.org/llm"),
        ("http://ai.example.org", "http://ai.example.org"),
    ],
)
def test_a_typed_url_needs_no_scheme(typed: str, url: str) -> None:
    assert with_scheme(typed) == url
