"""SIGHUP for llama-swap and nothing else: it ends node, python, podman and shells."""

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line

_LONGEST = 300
_SENT = "sent"
_FOUND = "found"

# One script, so that next to no time lies between check and signal. A process is the same one
# while its start time is the same: the 22nd field of stat, where the name before it may hold anything.
# An executable that an upgrade has replaced has ` (deleted)` behind its path; Nix calls what its
# wrapper runs `.llama-swap-wrapped`. /proc/PID/task/*/children isn't in every kernel.
_SCRIPT = f"""\
is_llama_swap() {{
  path=$(readlink "/proc/$1/exe") || return 1
  path=${{path%" (deleted)"}}
  case ${{path##*/}} in llama-swap* | .llama-swap*) return 0 ;; esac
  return 1
}}
started() {{
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- ${{stat##*") "}}
  shift 19
  echo "$1"
}}
consider() {{
  at=$(started "$1") && is_llama_swap "$1" || return 0
  pid=$1 since=$at count=$((count + 1))
}}
main=$1 count=0
consider "$main"
if [ "$count" = 0 ]; then
  parents=$(grep -s '^PPid:' /proc/[0-9]*/status /dev/null |
    sed -n 's|^/proc/\\([0-9]*\\)/status:PPid:[^0-9]*\\([0-9]*\\)$|\\1 \\2|p')
  below=" $main " grows=yes
  while [ "$grows" ]; do
    grows=
    while read -r child parent; do
      case $below in *" $child "*) continue ;; esac
      case $below in *" $parent "*) below="$below$child " grows=yes ;; esac
    done <<END
$parents
END
  done
  for child in $below; do consider "$child"; done
fi
if [ "$count" != 1 ]; then
  echo "{_FOUND} $count $(readlink "/proc/$main/exe")"
elif [ "$(started "$pid")" = "$since" ] && is_llama_swap "$pid"; then
  kill -s HUP "$pid" && echo "{_SENT} $pid"
else
  echo "{_FOUND} 0"
fi
"""


class SighupResult(Struct, frozen=True):
    """Whether the signal was sent; `why_not` is empty if the host gave no reason."""

    sent: bool
    why_not: str = ""


def sighup_command(main_pid: int) -> tuple[str, ...]:
    """Return the command that signals the one llama-swap that a unit's main process is or runs."""
    return ("sh", "-c", _SCRIPT, "sh", str(main_pid))


def parse_sighup_result(output: bytes) -> SighupResult:
    """Parse what that command printed."""
    word, count, path = (*output.decode(errors="replace").split(maxsplit=2), "", "", "")[:3]
    if word == _SENT:
        return SighupResult(sent=True)
    if word != _FOUND or not count.isdecimal():
        return SighupResult(sent=False)
    program = sanitize_line(path.strip(), _LONGEST) or "an unknown program"
    if count == "0":
        return SighupResult(
            False,
            f"it runs {program}, which SIGHUP would end, and has no llama-swap process below it",
        )
    return SighupResult(False, f"it runs {program}, and {count} llama-swap processes below it")
