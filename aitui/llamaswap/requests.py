"""A request to a server, and its complete response."""

from collections.abc import Mapping
from urllib.parse import quote

from msgspec import Struct

LARGEST_RESPONSE = 32 * 1024 * 1024


class Request(Struct, frozen=True):
    """One request. `path` is appended to the server's URL, `limit` is in seconds or None.

    `body` is JSON, empty if there is none.
    """

    method: str
    path: str
    limit: float | None
    accept: str = "application/json"
    max_bytes: int = LARGEST_RESPONSE
    body: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of this one request."""
        typed = {"Content-Type": "application/json"} if self.body else {}
        return {"Accept": self.accept, **typed}

    @property
    def endpoint(self) -> str:
        """Method and path without the query, as messages name the request."""
        return f"{self.method} {self.path.partition('?')[0]}"


class Response(Struct, frozen=True):
    """A complete response; `endpoint` is method and path, header names are in lower case."""

    endpoint: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def may_refuse_certificate(self) -> bool:
        """Whether a proxy may say so that it wants another client certificate: 495 and 496 are nginx's."""
        return self.status in {400, 403, 495, 496}


def path_segment(identifier: str) -> str:
    """Quote an id as one segment of a path."""
    # HTTP clients drop the segments `.` and `..`, which would lead to another endpoint.
    quoted = quote(identifier.encode("utf-8", "replace"), safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def fill_path(template: str, identifier: str) -> str:
    """Fill a model's id into the path of an endpoint."""
    return template.replace("<id>", path_segment(identifier))
