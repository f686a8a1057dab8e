"""The releases of llama-swap that a server can be."""

from msgspec import Struct

SEPARATE_LOGS_SINCE = 259
"""Requests have a log of their own, events hold none, and models are dated."""

REMOVES_QUEUED_SINCE = 226
"""A request leaves the queue when its client hangs up; older servers still load its model
(mostlygeek/llama-swap#847), unless that is unloaded before its turn."""

WAITS_TO_STOP_SINCE = 218
"""A server that is to stop waits DRAIN_SECONDS for running requests; older ones cut them first."""

DRAIN_SECONDS = 30.0


class ServerRelease(Struct, frozen=True):
    """The releases of llama-swap that a server can be: from `first` on, below `end` if known."""

    first: int = 0
    end: int | None = None

    def has(self, release: int) -> bool | None:
        """Return whether the server has what that release brought, None if that isn't known."""
        if self.first >= release:
            return True
        return False if self.end is not None and self.end <= release else None

    @property
    def words(self) -> str:
        """The releases in words, empty if nothing is known."""
        newest = "" if self.end is None else f"v{self.end - 1}"
        if not self.first:
            return f"{newest} or older" if newest else ""
        first = f"v{self.first}"
        return (
            first if first == newest else f"{first} to {newest}" if newest else f"{first} or newer"
        )

    def narrow(self, version: str) -> "ServerRelease":
        """Return the one release that a version names, if it is possible at all."""
        number = version_number(version)
        if number is None or number < self.first or self.has(number) is False:
            return self
        return ServerRelease(number, number + 1)


UNKNOWN = ServerRelease()
"""The release of a server that wasn't asked or didn't reveal its age."""


def version_number(version: str) -> int | None:
    """Return 218 for `218`, `v218` and `218-dirty`, None for a build without a number."""
    number = version.removeprefix("v").split("-")[0].split(".")[0]
    return int(number) if number.isdecimal() and len(number) < 10 else None
