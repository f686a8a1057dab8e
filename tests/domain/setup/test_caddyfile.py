"""The sites of a Caddyfile, and the block that is added to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.setup.caddyfile import (
    caddy_block,
    find_site,
    has_site_without_braces,
    read_sites,
)

URL = "https://ai.example.org"
FILE = """\
{
	email me@example.org # { is no brace here
}

(shared) {
	encode gzip
}

import sites/*

{$OTHER}, http://Plain.example.org, https://b.example.org:8443/x {
	respond "} ai.example.org {" 200
	route {
		reverse_proxy {host}:80
	}
}
"""


def test_the_block_is_found_again_in_a_file_to_which_it_was_added() -> None:
    assert find_site(FILE, URL) is None
    site = find_site(FILE + caddy_block(URL, "192.168.2.3:8080"), URL)
    assert site is not None
    assert site.requires_certificates
    assert "192.168.2.3:8080" in site.words


@pytest.mark.parametrize(
    ("head", "url", "found"),
    [
        ("ai.example.org", URL, True),
        ("https://AI.example.org", URL, True),
        ("ai.example.org:443", URL, True),
        ("a.org,\nai.example.org", URL, True),
        ("http://ai.example.org", URL, False),
        ("ai.example.org", f"{URL}:8443", False),
        ("ai.example.org:8443", f"{URL}:8443/llama", True),
        ("[::1]:8443", "https://[::1]:8443", True),
    ],
)
def test_a_site_is_found_by_host_and_port(head: str, url: str, found: bool) -> None:
    site = find_site(f"{head} {{\n\trespond ok\n}}\n", url)
    assert (site is not None) is found


def test_other_blocks_are_no_sites_of_ours() -> None:
    addresses = [site.addresses for site in read_sites(FILE)]
    assert addresses[-1] == ("{$other}:443", "plain.example.org:80", "b.example.org:8443")
    assert not any(site.requires_certificates for site in read_sites(FILE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        (FILE, False),
        ("import x\n", False),
        ("a.org\nrespond ok\n", True),
        ("a.org", True),
    ],
)
def test_a_site_without_braces_is_noticed(text: str, expected: bool) -> None:
    assert has_site_without_braces(text) is expected


def test_a_path_of_the_url_stays_in_front_of_llama_swaps() -> None:
    block = caddy_block(f"{URL}/llama", "127.0.0.1:8080")
    assert block.startswith("ai.example.org {\n")
    assert "handle_path /llama/* {\n\t\treverse_proxy 127.0.0.1:8080 {" in block


@given(st.text(st.sampled_from('{}"`# \n\\a,:'), max_size=60))
def test_any_text_is_read(text: str) -> None:
    list(read_sites(text))
    has_site_without_braces(text)
