"""The doctor's report as text for people and as JSON for scripts."""

import re
from collections.abc import Iterable, Mapping, Sequence

from aitui.domain.checks import CheckResult, CheckStatus
from aitui.domain.sanitize import HIDDEN, LEAST_SECRET
from aitui.domain.server import Server
from aitui.format.report import format_json
from aitui.format.styled import Line, Span, plain_text

MARKS = {CheckStatus.PASSED: "✔", CheckStatus.FAILED: "✘", CheckStatus.OPEN: "–"}


def as_json(checks: Iterable[CheckResult]) -> str:
    """Format all checks as an indented JSON list; `status` is passed, failed or open."""
    rows = [
        {"check": one.name, "status": one.status, "seen": one.seen, "remedy": one.shell_remedy}
        for one in checks
    ]
    return format_json(rows)


_STYLES = {CheckStatus.PASSED: "ready", CheckStatus.FAILED: "error", CheckStatus.OPEN: "muted"}


def as_lines(check: CheckResult) -> tuple[Line, ...]:
    """Format a check as its line, and one for its remedy."""
    style = _STYLES[check.status]
    seen = Span(f": {check.seen}", style if check.status is CheckStatus.FAILED else "")
    line = (Span(MARKS[check.status], style), Span(f" {check.name}"), seen)
    return (line, (Span(f"    → {check.shell_remedy}", "strong"),)) if check.remedy else (line,)


def as_text(checks: Iterable[CheckResult]) -> str:
    """Format the whole report, as it is copied."""
    return plain_text(line for check in checks for line in as_lines(check))


def summary(checks: Sequence[CheckResult]) -> str:
    """Count how many checks ended how."""
    counts = {
        status: sum(check.status is status for check in checks)
        for status in (CheckStatus.PASSED, CheckStatus.FAILED, CheckStatus.OPEN)
    }
    return ", ".join(f"{count} {status.value}" for status, count in counts.items())


_HOME = re.compile(r"/(?:home|Users)/[^/\s:'\",;]+|/root(?![\w-])")
_USER = re.compile(r"(?<![\w.@:-])[\w.-]+(?::[^\s@/]{0,200}+)?@(?=[\w\[])(?!\w+\.service)")
_SECRET = re.compile(
    r"(?i)((?:\bbearer\s|(?:api[_-]?key|token|passw(?:or)?d|secret)s?[\"']?(?:\s*+[=:]|\s)\s*+)[\"']?)"
    r"(?!none\b|set, not shown)[^\s\"',;&]{4,}"
)
_SECRET_VARIABLE = re.compile(r"(?i)key|token|passw|secret|credential")


def redact(text: str, servers: Iterable[Server], environment: Mapping[str, str]) -> str:
    """Hide keys, passwords, tokens and user names in a report, and write home directories as `~`.

    Secrets are those of the servers, and the values of variables that are named like one.
    """
    secrets = {value for name, value in environment.items() if _SECRET_VARIABLE.search(name)}
    for server in servers:
        of_server = (server.api_key, server.client_key_password, *(server.basic_auth or ()))
        secrets |= {one for one in of_server if one}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET and not secret.startswith("/"):
            text = text.replace(secret, HIDDEN)
    home = environment.get("HOME", "").rstrip("/")
    if home:
        text = re.sub(rf"{re.escape(home)}(?![\w-])", "~", text)
    return _SECRET.sub(rf"\1{HIDDEN}", _USER.sub("USER@", _HOME.sub("~", text)))
