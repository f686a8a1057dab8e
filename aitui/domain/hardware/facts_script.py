"""The one command that asks a machine what it is, for any POSIX shell. Nothing is left behind.

Its arguments are the tools to leave out ("nvidia", or nothing), and how many seconds each tool may
take. It writes sections as the script of the samples does.
"""

from aitui.domain.hardware.host_script import MARK, TOOL_SECONDS

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
