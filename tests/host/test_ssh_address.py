"""What `ssh_host` may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.errors import HostError
from aitui.host.ssh.address import SshAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("box", SshAddress("box")),
        ("me@box", SshAddress("box", "me")),
        ("me@box.example.org:2222", SshAddress("box.example.org", "me", 2222)),
        ("192.168.2.3", SshAddress("192.168.2.3")),
        ("me@192.168.2.3:22", SshAddress("192.168.2.3", "me", 22)),
        ("[::1]", SshAddress("::1")),
        ("me@[fe80::1%eth0]:2222", SshAddress("fe80::1%eth0", "me", 2222)),
        ("fe80::1", SshAddress("fe80::1")),
        (" box ", SshAddress("box")),
    ],
)
def test_an_address_is_read(text: str, address: SshAddress) -> None:
    assert SshAddress.read(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@box",
        "me@",
        "box:",
        "box:0",
        "box:65536",
        "a b",
        "me:secret@box",
        "-oProxyCommand=x",
        "-x@box",
        "[box]",
        "[::1",
        "box:ssh",
        "a@b@c",
        "box/etc",
        "box\n"[:3] + "\n x",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(HostError, match="is not an SSH address"):
        SshAddress.read(text)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        address = SshAddress.read(text)
    except HostError:
        return
    assert address.host
    assert not address.host.startswith("-")
    assert not any(character.isspace() for character in address.host)
