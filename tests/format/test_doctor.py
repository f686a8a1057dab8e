"""A report that is shown to others has nothing private in it."""

import pytest

from aitui.domain.server import Server
from aitui.format.doctor import redact

SERVER = Server(
    "https://ai.example.org",
    identity="x",
    api_key="k3y-of-mine",
    client_key_password="s3cr3t",
    basic_auth=("fox", "den-4711"),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://fox:den-4711@ai.example.org/x", "https://USER@ai.example.org/x"),
        ("me@192.168.2.3 is me@192.168.2.3 port 2222", "USER@192.168.2.3 is USER@192.168.2.3 port 2222"),
        ("ssh -p 2222 me@gpu adds it", "ssh -p 2222 USER@gpu adds it"),
        ("/home/fox/certs/client.pem, /home/ai-server/x", "~/certs/client.pem, ~/x"),
        ("the home folder is /root", "the home folder is ~"),
        ("/rooted/x and /srv/fox/models/x", "/rooted/x and ~/models/x"),
        ("line 3: --api-key sk-123456 is unknown", "line 3: --api-key (hidden) is unknown"),
        ("Authorization: Bearer abcdef", "Authorization: Bearer (hidden)"),
        ("HF_TOKEN=hf_abcdef", "HF_TOKEN=(hidden)"),
        ("k3y-of-mine, s3cr3t and exported", "(hidden), (hidden) and (hidden)"),
        ("api_key: set, not shown (environment)", "api_key: set, not shown (environment)"),
        ("client_key_password: none", "client_key_password: none"),
        ("systemctl --user restart user@$(id -u).service", "systemctl --user restart user@$(id -u).service"),
    ],
)  # fmt: skip
def test_what_is_private_is_hidden(text: str, shown: str) -> None:
    environment = {"HOME": "/srv/fox", "GITHUB_TOKEN": "exported", "EDITOR": "is"}
    assert redact(text, (SERVER,), environment) == shown
