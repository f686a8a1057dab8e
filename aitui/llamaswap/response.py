"""A complete response of a server."""

from collections.abc import Mapping

from msgspec import Struct


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
        """Whether a proxy that wants another client certificate may answer so; 495 and 496 are nginx's."""
        return self.status in {400, 403, 495, 496}
