"""The two commands that sample a machine and describe it, for any POSIX shell.

Their arguments are what to leave out ("tools": those of the graphics cards' vendors, or nothing),
how many seconds each tool may take, and the ports for which processes are wanted. They write sections,
each with a first line of its own, and leave nothing behind.
"""

from collections.abc import Iterable

from aitui.domain.hardware.gpu.nvidia import DRIVER_SCRIPT
from aitui.domain.hardware.gpu.vendors import PROBES

MARK = "@aitui "
"""What a section's first line begins with. Callers replace it: a process may be named like this."""
TOOL_SECONDS = 8

# `timeout` is missing on some systems: then the whole command's time limit holds.
_HEAD = f"""
LC_ALL=C
export LC_ALL
skip=$1
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout -k 1 $2"; fi
section() {{ echo "{MARK}$*"; }}
"""
_TAIL = """
section end
exit 0
"""
_DRIVERS = " | ".join(f"DRIVER={driver}" for probe in PROBES for driver in probe.DRIVERS)
_FILES = " ".join(dict.fromkeys(f'"$card"/{file}' for probe in PROBES for file in probe.FILES))
_TOOLS = "".join(probe.SCRIPT for probe in PROBES)

# A port counts as an argument only of processes that have a flag for one; ss reports the processes
# of other users only to root, and reads less.
SAMPLE_SCRIPT = rf"""{_HEAD}
shift 2
section "page $(getconf PAGESIZE 2>/dev/null || echo 4096)"
section meminfo
grep -E '^(Mem(Total|Free|Available)|Swap(Total|Free)|Buffers|Cached|SReclaimable):' /proc/meminfo 2>/dev/null
section stat
grep '^cpu[0-9]' /proc/stat 2>/dev/null
section loadavg
cat /proc/loadavg 2>/dev/null
section network
cat /proc/net/dev 2>/dev/null
section disks
cat /proc/diskstats 2>/dev/null
section sensors
for place in /sys/class/hwmon/hwmon*; do
  name=
  [ -r "$place/name" ] && read -r name <"$place/name"
  case $name in
  k10temp | coretemp | zenpower | cpu_thermal) cat "$place/temp1_input" 2>/dev/null ;;
  esac
done
section "ticks $(getconf CLK_TCK 2>/dev/null) $(cat /proc/uptime 2>/dev/null)"
section processes
cat /proc/[0-9]*/stat 2>/dev/null | awk '{{
  name = rest = $0
  sub(/^.*\) /, "", rest)
  sub(/^[^(]*\(/, "", name)
  sub(/\) [^)]*$/, "", name)
  split(rest, field, " ")
  if (field[22] > 0) print $1, field[2], field[22], field[20], name
}}'
section listening
for port in "$@"; do ss -ltnp "sport = :$port" 2>/dev/null; done
section named
for port in "$@"; do
  grep -lsazxF -e --port -e "--port=$port" /proc/[0-9]*/cmdline 2>/dev/null |
  while read -r place; do
    if grep -qsazxF -e "$port" -e "--port=$port" "$place" 2>/dev/null; then
      echo "$port $place"
    fi
  done
done
section cards
drivers=
for card in /sys/class/drm/card[0-9] /sys/class/drm/card[0-9][0-9]; do
  [ -r "$card/device/uevent" ] || continue
  echo "card ${{card##*/card}}"
  while read -r line; do
    echo "$line"
    case $line in {_DRIVERS}) drivers=yes ;; esac
  done <"$card/device/uevent"
  for file in {_FILES}; do
    if [ -r "$file" ] && read -r value <"$file" 2>/dev/null; then echo "${{file##*/}} $value"; fi
  done
done
section clients
if [ -n "$drivers" ]; then
  grep -rsHE '^drm-(pdev|client-id|total|resident|memory)' /proc/[0-9]*/fdinfo 2>/dev/null
fi
if [ "$skip" != tools ]; then
{_TOOLS}fi
{_TAIL}"""


def sample_command(
    ports: Iterable[int],
    *,
    mark: str = MARK,
    without_tools: bool = False,
    tool_seconds: int = TOOL_SECONDS,
) -> tuple[str, ...]:
    """Return the command as words, none of which a shell interprets but the script itself."""
    return (
        "sh",
        "-c",
        SAMPLE_SCRIPT.replace(MARK, mark),
        "aitui",
        "tools" if without_tools else "",
        str(tool_seconds),
        *(str(port) for port in ports if 0 < port < 65536),
    )


INFO_SCRIPT = rf"""{_HEAD}
for file in /etc/os-release /usr/lib/os-release; do
  if [ -r "$file" ]; then
    section system
    grep -E '^(PRETTY_NAME|NAME|VERSION_ID)=' "$file" 2>/dev/null
    break
  fi
done
section "name $(uname -n 2>/dev/null)"
section "kernel $(uname -sr 2>/dev/null)"
section "architecture $(uname -m 2>/dev/null)"
section "uptime $(cat /proc/uptime 2>/dev/null)"
section meminfo
grep '^MemTotal:' /proc/meminfo 2>/dev/null
section processors
grep -E '^(processor|model name|cpu model|cpu|uarch|physical id|core id)[[:space:]]*:' \
  /proc/cpuinfo 2>/dev/null
if ! grep -q '^model name' /proc/cpuinfo 2>/dev/null && command -v lscpu >/dev/null 2>&1; then
  section lscpu
  $limit lscpu 2>/dev/null </dev/null | grep '^Model name:'
fi
section environment
if command -v systemd-detect-virt >/dev/null 2>&1; then
  echo "container $($limit systemd-detect-virt --container 2>/dev/null </dev/null)"
  echo "machine $($limit systemd-detect-virt --vm 2>/dev/null </dev/null)"
elif [ -e /run/.containerenv ]; then
  echo "container podman"
elif [ -e /.dockerenv ]; then
  echo "container docker"
fi
{DRIVER_SCRIPT}{_TAIL}"""


def host_info_command(
    *, mark: str = MARK, without_tools: bool = False, tool_seconds: int = TOOL_SECONDS
) -> tuple[str, ...]:
    """Return the command as words, none of which a shell interprets but the script itself."""
    skipped = "tools" if without_tools else ""
    return ("sh", "-c", INFO_SCRIPT.replace(MARK, mark), "aitui", skipped, str(tool_seconds))
