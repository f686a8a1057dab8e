"""Answers of real servers, as `curl -i` printed them."""

from pathlib import Path

from aitui.llamaswap.response import Response

DIALECTS = ("v217", "v218", "2026-08-head")

_FOLDER = Path(__file__).parents[1] / "recordings" / "llama-swap"


def recorded(dialect: str, name: str) -> Response:
    """One recorded call, with the endpoint from its command line."""
    content = (_FOLDER / dialect / f"{name}.txt").read_bytes()
    command, _, rest = content.partition(b"\n")
    head, _, body = rest.replace(b"\r\n", b"\n").partition(b"\n\n")
    status, *lines = head.decode().split("\n")
    pairs = (line.partition(": ") for line in lines)
    words = command.decode().split()
    url = next(word for word in words if word.startswith("http://"))
    return Response(
        endpoint=f"{'POST' if 'POST' in words else 'GET'} /{url.split('/', 3)[3]}",
        status=int(status.split()[1]),
        headers={key.lower(): value for key, _, value in pairs},
        body=body.partition(b"\n[curl: ")[0].partition(b"curl: (28)")[0],
    )
