"""One config.yaml, read: its models, their commands, and where they stand in the text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelBlock:
    """One entry of `models`. Lines are counted from 1, the last one included."""

    id: str
    first_line: int
    last_line: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A config file that parses. `text` is the whole of it, byte order mark and line ends too."""

    text: str
    models: tuple[ModelBlock, ...]

    @classmethod
    def read(cls, text: str) -> "Document":
        """Parses a config file; call it in a thread, it takes 4 ms a KiB.

        Raises ConfigRefused, with line and column, for what isn't YAML, for duplicate keys, for
        anything but a mapping, and for what is nested or repeated beyond reason.
        """
        raise NotImplementedError

    def model(self, model_id: str) -> ModelBlock:
        """The block of exactly that id. Raises ConfigRefused where there is none."""
        raise NotImplementedError

    def command(self, model_id: str) -> str:
        """The command with its macros expanded as llama-swap does; `${PORT}` stays."""
        raise NotImplementedError

    def context_size(self, model_id: str) -> int | None:
        """Tokens of the command's `--ctx-size`, else of `LLAMA_ARG_CTX_SIZE` in `env`."""
        raise NotImplementedError
