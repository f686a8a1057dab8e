"""The first config file of a server, written for the model files that it has."""

import posixpath
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from aitui.domain.config.blocks import PLAIN_KEY
from aitui.domain.config.splice import write_text
from aitui.domain.gguf import GgufHeader
from aitui.domain.llama_server import quote_word
from aitui.domain.models import parse_shard

IDLE_SECONDS = 1800
"""When an idle model is unloaded."""
USUAL_CONTEXTS = tuple(1024 << power for power in range(8, 1, -1))
"""Context sizes to choose from, the largest first: 256k to 4k."""
_QUANTIZATION = re.compile(
    r"[-_.](?:UD[-_])?(?:I?Q\d\w*|TQ\d\w*|B?F16|F32|MXFP4\w*|NVFP4\w*)\Z", re.IGNORECASE
)
_SUFFIX = re.compile(r"\.gguf\Z", re.IGNORECASE)
_RANK = 4


class NewModel(Struct, frozen=True):
    """A model for the config: its file, its context, and what is said about its memory.

    `on_gpu` puts all layers on the cards; `purpose` is a flag for a model that isn't for chats.
    """

    path: str
    context_size: int
    note: str
    on_gpu: bool = True
    purpose: str = ""

    @property
    def id(self) -> str:
        """The file's name, without its ending and the number of its first part."""
        name = posixpath.basename(self.path)
        shard = parse_shard(name)
        return shard.prefix if shard else _SUFFIX.sub("", name)

    @property
    def alias(self) -> str:
        """A shorter name without quantization and capitals, "" if there is none."""
        alias = _QUANTIZATION.sub("", self.id).lower()
        return alias if alias != self.id else ""

    def command(self, llama_server: str) -> tuple[str, ...]:
        """Return the lines of the command."""
        return (
            quote_word(llama_server),
            "--port ${PORT}",
            f"--model {quote_word(self.path)}",
            f"--ctx-size {self.context_size}",
            *(("--n-gpu-layers 99",) if self.on_gpu else ()),
            *((self.purpose,) if self.purpose else ()),
        )


def purpose_flag(header: GgufHeader) -> str:
    """Return the flag of a model that makes embeddings or ranks texts, "" for one that chats."""
    pooling = header.number("pooling_type")
    if not pooling:
        return ""
    return "--reranking" if pooling == _RANK else "--embedding"


def first_config(models: Sequence[NewModel], llama_server: str) -> str:
    """Return a whole config file."""
    return (
        "# Keys: https://github.com/mostlygeek/llama-swap/blob/main/config.example.yaml\n"
        f"globalTTL: {IDLE_SECONDS}  # seconds until an idle model is unloaded\n"
        "healthCheckTimeout: 600  # seconds that a load may take\n\n"
        + models_text(models, llama_server)
    )


def models_text(models: Sequence[NewModel], llama_server: str) -> str:
    """Return `models:` with a block for each model; an alias is given once."""
    taken = {model.id for model in models}
    lines = ["models:"]
    for model in models:
        aliases = [model.alias] if model.alias and model.alias not in taken else []
        taken.update(aliases)
        lines += _block_lines(model, aliases, llama_server)
    return "\n".join(lines) + "\n"


def _block_lines(model: NewModel, aliases: Iterable[str], llama_server: str) -> list[str]:
    lines = [f"  # {model.note}", f"  {write_text(model.id, PLAIN_KEY)}:"]
    lines += [f"    aliases: [{write_text(alias, PLAIN_KEY)}]" for alias in aliases]
    return [*lines, "    cmd: |", *(f"      {line}" for line in model.command(llama_server))]
