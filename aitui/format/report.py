"""Reports for scripts: what is known, as JSON."""

import msgspec


def format_json(report: object) -> str:
    """Format a report as indented JSON."""
    indented: bytes = msgspec.json.format(msgspec.json.encode(report), indent=2)
    return indented.decode()
