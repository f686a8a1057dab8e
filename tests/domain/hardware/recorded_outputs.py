"""Outputs of tools and drivers, as the README beside them says."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "outputs"


def output(name: str) -> str:
    """One of them."""
    return (_FOLDER / name).read_text()
