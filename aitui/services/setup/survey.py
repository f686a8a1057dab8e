"""What is installed on a host: programs, model files, and the machine itself."""

from collections.abc import Iterable, Sequence

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostError
from aitui.host.base import Host

MODEL_FOLDERS = (
    *("~/models", "~/llama.cpp/models", "~/.cache/llama.cpp", "~/.cache/huggingface/hub"),
    *("~/.lmstudio/models", "/models", "/srv/models", "/opt/models", "/var/lib/models"),
)
"""Where model files usually are."""
_SURVEY_SECONDS = 60.0
_MOST_FILES = 500
# A login over SSH has a short PATH, and what was built is rarely on it.
_PROGRAMS = """
PATH="$HOME/bin:$HOME/.local/bin:/usr/local/bin:/opt/bin:$PATH"
command -v "$1"
for file in "$HOME"/*/build/bin/"$1" "$HOME"/*/"$1" "$HOME"/*/*/build/bin/"$1" \
  /opt/*/build/bin/"$1" /opt/*/bin/"$1" /opt/*/"$1" /usr/local/*/bin/"$1"; do
  if [ -f "$file" ] && [ -x "$file" ]; then echo "$file"; fi
done
"""
_FILES = """
for folder; do
  case $folder in "~/"*) folder=$HOME/${folder#"~/"};; esac
  if [ -d "$folder" ]; then
    find -L "$folder" -maxdepth 6 -type f -iname '*.gguf' 2>/dev/null
  fi
done
"""


async def find_programs(host: Host, name: str) -> tuple[str, ...]:
    """Return the paths of a program on a host, the one that a shell would run first."""
    return await _lines(host, _PROGRAMS, (name,))


async def find_gguf_files(host: Host, folders: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the GGUF files below these folders, else below the usual ones, at most 500."""
    return (await _lines(host, _FILES, folders or MODEL_FOLDERS))[:_MOST_FILES]


async def _lines(host: Host, script: str, words: Iterable[str]) -> tuple[str, ...]:
    done = await host.run(("sh", "-c", script, "sh", *words), seconds=_SURVEY_SECONDS)
    if done.status == 127:
        raise HostError(f"There is no shell on {host.label}")
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")
    absolute = (line for line in lines if line.startswith("/") and line == sanitize_line(line))
    return tuple(dict.fromkeys(absolute))
