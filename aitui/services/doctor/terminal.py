"""Check the terminal's capabilities as its environment reports them."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from aitui.domain.checks import CheckResult, defect_check, inconclusive_check, passing_check
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Server
from aitui.services.clipboard import describe_clipboard, run_tmux
from aitui.services.doctor.checkup import Report
from aitui.settings import Settings
from aitui.settings.address import without_secrets
from aitui.settings.table import CERTIFICATES, ENDPOINTS

TMUX = "tmux"
SET_CLIPBOARD = "tmux set-clipboard"
PASSTHROUGH = "tmux allow-passthrough"


async def _check_tmux(environment: Mapping[str, str], report: Report) -> None:
    if not environment.get("TMUX"):
        report(inconclusive_check(TMUX, "not inside tmux"))
        return
    version = await _query_tmux(
        environment, "display-message", "-p", "#{version}, #{client_termname}"
    )
    if version is None:
        seen = "TMUX is set, but tmux does not respond"
        report(inconclusive_check(TMUX, seen, "tmux display-message -p ok"))
        return
    report(passing_check(TMUX, version.rstrip(", ")))
    clipboard = await _query_tmux(environment, "show-options", "-sv", "set-clipboard")
    if clipboard == "on":
        report(passing_check(SET_CLIPBOARD, clipboard))
    else:
        seen = f"{clipboard or 'not known'}: copies go to tmux's buffer"
        report(inconclusive_check(SET_CLIPBOARD, seen, "tmux set -s set-clipboard on"))
    through = await _query_tmux(environment, "show-options", "-gwv", "allow-passthrough")
    if through in {"on", "all"}:
        report(passing_check(PASSTHROUGH, through))
    else:
        seen = f"{through or 'not known to this version'}: notifications stay inside tmux"
        report(inconclusive_check(PASSTHROUGH, seen, "tmux set -wg allow-passthrough on"))


async def _query_tmux(environment: Mapping[str, str], *words: str) -> str | None:
    answer = await run_tmux(environment, *words)
    if answer is None:
        return None
    return sanitize_line(answer.decode("utf-8", "replace").strip(), 120)


SIZE = "terminal size"
COLORS = "terminal colors"
UNICODE = "terminal Unicode"
CLIPBOARD = "terminal clipboard (OSC 52)"

SMALLEST = (80, 24)


class TerminalInfo(Struct, frozen=True):
    """Columns and lines, None where there is no terminal; and the environment that tells of it."""

    size: tuple[int, int] | None
    environment: Mapping[str, str]


async def check_terminal(terminal: TerminalInfo, report: Report) -> None:
    """Check what the dashboard uses of the terminal, or that there is none."""
    if terminal.size is None:
        seen = "not a terminal: run aitui doctor in one to check"
        report(inconclusive_check("terminal", seen))
        return
    report(_size_check(*terminal.size))
    report(_color_check(terminal.environment))
    report(_unicode_check(terminal.environment))
    report(_clipboard_check(terminal.environment))
    await _check_tmux(terminal.environment, report)


def _size_check(columns: int, lines: int) -> CheckResult:
    seen = f"{columns}×{lines}"
    if columns >= SMALLEST[0] and lines >= SMALLEST[1]:
        return passing_check(SIZE, seen)
    wanted = f"enlarge it to at least {SMALLEST[0]}×{SMALLEST[1]}, or choose a smaller font"
    return defect_check(SIZE, seen, wanted)


def _color_check(environment: Mapping[str, str]) -> CheckResult:
    term = environment.get("TERM", "")
    more = "export COLORTERM=truecolor, if the terminal supports it"
    if environment.get("NO_COLOR"):
        return inconclusive_check(
            COLORS, "none: NO_COLOR is set; symbols and text replace the colors"
        )
    if environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return passing_check(COLORS, "16 million (COLORTERM)")
    if term in {"", "dumb", "unknown"}:
        seen = f"TERM={term or '(unset)'} can't draw a screen"
        return defect_check(COLORS, seen, "export TERM=xterm-256color")
    if "256color" in term or "direct" in term:
        return passing_check(COLORS, f"256 (TERM={sanitize_line(term, 60)})", more)
    return inconclusive_check(COLORS, f"16, by TERM={sanitize_line(term, 60)}", more)


def _unicode_check(environment: Mapping[str, str]) -> CheckResult:
    set_ones = (name for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name))
    variable = next(set_ones, "LANG")
    locale = environment.get(variable, "")
    seen = f"{variable}={sanitize_line(locale, 60) or '(unset)'}"
    remedy = f"export {variable}=C.UTF-8"
    charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    if charset == "utf8":
        return passing_check(UNICODE, seen)
    if charset:
        return defect_check(UNICODE, f"{seen} names another character set", remedy)
    return inconclusive_check(UNICODE, f"{seen} names no character set", remedy)


def _clipboard_check(environment: Mapping[str, str]) -> CheckResult:
    if environment.get("TMUX"):
        return inconclusive_check(CLIPBOARD, "depends on tmux: see that check")
    able, words, remedy = describe_clipboard(environment)
    return passing_check(CLIPBOARD, words) if able else inconclusive_check(CLIPBOARD, words, remedy)


_DEFAULT = "default"
_SET = "set, not shown"
_BY_HAND = "chosen in the dashboard"


def setting_checks(settings: Settings) -> Iterator[CheckResult]:
    """Check each value that was set, and all that are left at their default together."""
    server = settings.server
    named = f"server “{server.name}”" if server.name else "the unnamed server"
    config = settings.config_file
    if settings.has_server:
        yield passing_check("settings", f"{named} ({settings.origins.get('server', _BY_HAND)})")
    yield (
        passing_check("config.toml", str(config))
        if config
        else inconclusive_check("config.toml", "there is none")
    )
    if settings.ignored:
        words = f"ignored, as they describe the unnamed server: {', '.join(settings.ignored)}"
        remedy = "set AI_SERVER_URL to use that server, or unset them"
        yield inconclusive_check("variables", words, remedy)
    if not settings.has_server:
        return
    defaults: list[str] = []
    for name, value in _setting_values(server):
        origin = server.origins.get(name, _DEFAULT)
        if origin == _DEFAULT and name != "url":
            defaults.append(f"{name} {value}")
        else:
            yield passing_check(f"setting {name}", f"{value} ({origin})")
    if server.basic_auth is not None and not _login_settings(server):
        origin = server.origins.get("url", _DEFAULT)
        yield passing_check("setting user and password of the url", f"{_SET} ({origin})")
    fps = settings.origins.get("fps", _DEFAULT)
    if fps == _DEFAULT:
        defaults.append(f"fps {settings.fps}")
    else:
        yield passing_check("setting fps", f"{settings.fps} ({fps})")
    yield passing_check("settings left at default", ", ".join(defaults))


def _login_settings(server: Server) -> tuple[str, ...]:
    """Return which of user and password are set by themselves: they hold before the URL's."""
    names = ("username", "password")
    return tuple(name for name in names if server.origins.get(name, _DEFAULT) != _DEFAULT)


def _setting_values(server: Server) -> Iterator[tuple[str, str]]:
    yield "url", without_secrets(server.url)
    for certificate in CERTIFICATES:
        path = getattr(server, certificate.name)
        yield certificate.name, str(path) if path is not None else "none"
    yield "client_key_password", "none" if server.client_key_password is None else _SET
    yield "api_key", "none" if server.api_key is None else _SET
    for name in _login_settings(server):
        yield name, _SET
    yield "timeout", f"{server.timeout:g} s"
    yield "ssh_host", server.ssh_host or "none"
    yield "preset_path", server.preset_path
    yield "service_unit", server.service_unit
    if server.proxy_ssh_host:
        yield "proxy_ssh_host", server.proxy_ssh_host
        yield "proxy_dir", server.proxy_dir
        yield "proxy_reload", server.proxy_reload
    for setting in ENDPOINTS:
        if server.origins.get(setting.name, _DEFAULT) != _DEFAULT:
            yield setting.name, str(getattr(server.endpoints, setting.name.removesuffix("_path")))
    yield "color", server.color or "none"
    yield "read_only", "yes" if server.read_only else "no"
