"""The one command that samples a machine, for any POSIX shell. Nothing is left behind.

Its arguments are the tools to leave out ("nvidia", or nothing), how many seconds each tool may take,
and the ports whose processes are wanted. It writes sections, each begun by a line of its own.
"""

from collections.abc import Iterable

from aitui.domain.hardware.nvidia import GPU_FIELDS, PROCESS_FIELDS

MARK = "@aitui "
"""What begins a section's first line. A caller has a mark of its own: a process may call itself so."""
TOOL_SECONDS = 8

# `timeout` is missing on some systems: then the whole command's time limit holds. A port counts as
# an argument only of processes that have a flag for one; ss tells the processes of others only to
# root, and reads less.
SAMPLE_SCRIPT = rf"""
LC_ALL=C
export LC_ALL
skip=$1
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout -k 1 $2"; fi
shift 2
echo "{MARK}page $(getconf PAGESIZE 2>/dev/null || echo 4096)"
echo "{MARK}meminfo"
grep -E '^(Mem(Total|Free|Available)|Swap(Total|Free)):' /proc/meminfo 2>/dev/null
echo "{MARK}stat"
grep '^cpu[0-9]' /proc/stat 2>/dev/null
echo "{MARK}loadavg"
cat /proc/loadavg 2>/dev/null
echo "{MARK}network"
cat /proc/net/dev 2>/dev/null
echo "{MARK}processes"
cat /proc/[0-9]*/stat 2>/dev/null | awk '{{
  rest = $0
  sub(/^.*\) /, "", rest)
  split(rest, field, " ")
  if (field[22] > 0) print $1, field[2], field[22]
}}'
echo "{MARK}listening"
for port in "$@"; do ss -ltnp "sport = :$port" 2>/dev/null; done
echo "{MARK}named"
for port in "$@"; do
  grep -lsazxF -e --port -e "--port=$port" /proc/[0-9]*/cmdline 2>/dev/null |
  while read -r place; do
    if grep -qsazxF -e "$port" -e "--port=$port" "$place" 2>/dev/null; then
      echo "$port $place"
    fi
  done
done
echo "{MARK}cards"
drivers=
for card in /sys/class/drm/card[0-9] /sys/class/drm/card[0-9][0-9]; do
  [ -r "$card/device/uevent" ] || continue
  echo "card ${{card##*/card}}"
  while read -r line; do
    echo "$line"
    case $line in DRIVER=amdgpu | DRIVER=i915 | DRIVER=xe) drivers=yes ;; esac
  done <"$card/device/uevent"
  for file in "$card"/device/mem_info_vram_total "$card"/device/mem_info_vram_used \
    "$card"/device/mem_info_gtt_total "$card"/device/mem_info_gtt_used \
    "$card"/device/mem_info_vram_vendor "$card"/device/mem_busy_percent \
    "$card"/device/gpu_busy_percent "$card"/device/product_name \
    "$card"/device/tile*/physical_vram_size_bytes "$card"/lmem_total_bytes "$card"/lmem_avail_bytes \
    "$card"/device/hwmon/hwmon*/temp1_input "$card"/device/hwmon/hwmon*/temp3_input \
    "$card"/device/hwmon/hwmon*/power1_average "$card"/device/hwmon/hwmon*/power1_input \
    "$card"/device/hwmon/hwmon*/in1_input "$card"/device/hwmon/hwmon*/pwm1; do
    if [ -r "$file" ] && read -r value <"$file" 2>/dev/null; then echo "${{file##*/}} $value"; fi
  done
done
echo "{MARK}clients"
if [ -n "$drivers" ]; then
  grep -rsHE '^drm-(pdev|client-id|total|resident|memory)' /proc/[0-9]*/fdinfo 2>/dev/null
fi
if [ "$skip" != nvidia ] && command -v nvidia-smi >/dev/null 2>&1; then
  echo "{MARK}nvidia"
  $limit nvidia-smi --query-gpu={GPU_FIELDS} --format=csv,noheader,nounits 2>&1 </dev/null
  status=$?
  echo "{MARK}nvidia-status $status"
  if [ "$status" = 0 ]; then
    echo "{MARK}nvidia-processes"
    $limit nvidia-smi --query-compute-apps={PROCESS_FIELDS} --format=csv,noheader,nounits 2>&1 </dev/null
  fi
fi
echo "{MARK}end"
exit 0
"""


def sample_command(
    ports: Iterable[int],
    *,
    mark: str = MARK,
    without_nvidia: bool = False,
    tool_seconds: int = TOOL_SECONDS,
) -> tuple[str, ...]:
    """The command as words, none of which a shell interprets but the script itself."""
    return (
        "sh",
        "-c",
        SAMPLE_SCRIPT.replace(MARK, mark),
        "aitui",
        "nvidia" if without_nvidia else "",
        str(tool_seconds),
        *(str(port) for port in ports if 0 < port < 65536),
    )


def parse_sections(text: str, mark: str = MARK) -> dict[str, tuple[str, list[str]]]:
    """The output by section: what stands on its first line, and the lines that follow."""
    found: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith(mark):
            name, _, said = line.removeprefix(mark).strip().partition(" ")
            lines = []
            found.setdefault(name, (said, lines))
        else:
            lines.append(line)
    return found


# The module's own file comes before nvidia-smi, which wakes cards that sleep. Where it is missing
# there may still be cards: WSL has none.
INFO_SCRIPT = rf"""
LC_ALL=C
export LC_ALL
skip=$1
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout -k 1 $2"; fi
for file in /etc/os-release /usr/lib/os-release; do
  if [ -r "$file" ]; then
    echo "{MARK}system"
    grep -E '^(PRETTY_NAME|NAME|VERSION_ID)=' "$file" 2>/dev/null
    break
  fi
done
echo "{MARK}kernel $(uname -sr 2>/dev/null)"
echo "{MARK}architecture $(uname -m 2>/dev/null)"
echo "{MARK}uptime $(cat /proc/uptime 2>/dev/null)"
echo "{MARK}meminfo"
grep '^MemTotal:' /proc/meminfo 2>/dev/null
echo "{MARK}processors"
grep -E '^(processor|model name|cpu model|cpu|uarch|physical id|core id)[[:space:]]*:' \
  /proc/cpuinfo 2>/dev/null
if ! grep -q '^model name' /proc/cpuinfo 2>/dev/null && command -v lscpu >/dev/null 2>&1; then
  echo "{MARK}lscpu"
  $limit lscpu 2>/dev/null </dev/null | grep '^Model name:'
fi
echo "{MARK}environment"
if command -v systemd-detect-virt >/dev/null 2>&1; then
  echo "container $($limit systemd-detect-virt --container 2>/dev/null </dev/null)"
  echo "machine $($limit systemd-detect-virt --vm 2>/dev/null </dev/null)"
elif [ -e /run/.containerenv ]; then
  echo "container podman"
elif [ -e /.dockerenv ]; then
  echo "container docker"
fi
if [ -r /proc/driver/nvidia/version ]; then
  echo "{MARK}nvidia"
  cat /proc/driver/nvidia/version 2>/dev/null
elif [ "$skip" != nvidia ] && command -v nvidia-smi >/dev/null 2>&1; then
  echo "{MARK}nvidia"
  $limit nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null </dev/null
fi
echo "{MARK}end"
exit 0
"""


def host_info_command(
    *, mark: str = MARK, without_nvidia: bool = False, tool_seconds: int = TOOL_SECONDS
) -> tuple[str, ...]:
    """The command as words, none of which a shell interprets but the script itself."""
    skipped = "nvidia" if without_nvidia else ""
    return ("sh", "-c", INFO_SCRIPT.replace(MARK, mark), "aitui", skipped, str(tool_seconds))
