"""Whole models put into a config file, and taken out of it."""

from aitui.domain.config.change import Change
from aitui.domain.config.document import Document


def model_folders(document: Document) -> tuple[str, ...]:
    """The folders of the files that the config's `--model` flags name, in the file's order."""
    raise NotImplementedError


def named_files(document: Document) -> frozenset[str]:
    """The files that the config's `--model` flags name."""
    raise NotImplementedError


def new_block(
    document: Document, model_id: str, file_path: str, *, like: str | None = None
) -> Change:
    """A new model behind the last one, in the style of `like` or of the last one.

    Raises ConfigRefused for an id that is taken, and where there is no model to be like.
    """
    raise NotImplementedError


def remove_model(document: Document, model_id: str) -> Change:
    """Takes a model's block out, with the comment lines that stand directly above it.

    Raises ConfigRefused where something else still names the model.
    """
    raise NotImplementedError
