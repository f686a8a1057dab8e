"""The number in what llama-swap calls its version."""


def version_number(version: str) -> int | None:
    """218 of `218`, `v218` and `218-dirty`; None for a build of somebody's own."""
    number = version.removeprefix("v").split("-")[0].split(".")[0]
    return int(number) if number.isdecimal() and len(number) < 10 else None
