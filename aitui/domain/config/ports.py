"""Models that are started without the port at which llama-swap looks for them.

llama-swap 217 and later refuse such a file: "proxy uses ${PORT} but cmd does not".
"""

from aitui.domain.config import verify
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.key_edit import change_key
from aitui.domain.config.splice import word_insertion
from aitui.domain.llama_server import CommandLine, launch

_PORT = ("--port",)
_WORDS = ("--port", "${PORT}")


def models_without_port(document: ConfigDocument) -> tuple[str, ...]:
    """Return the models of llama-server that llama-swap can't reach, in the file's order."""
    return tuple(
        model_id
        for model_id, entry in document.entries.items()
        if "proxy" not in entry.keys
        and "${PORT}" not in document.command(model_id)
        and launch(document.command(model_id), document.named).begin is not None
    )


def add_port(document: ConfigDocument, model_id: str) -> ConfigDocument:
    """Add `--port ${PORT}` to a command, or the `proxy` of a model with a port of its own.

    Raises ConfigRefused if that can't be done without changing anything else.
    """
    own = CommandLine.read(document.command(model_id), document.named).value(_PORT)
    line = document.model(model_id).first_line
    if own:
        change = change_key(document, model_id, "proxy", f"http://127.0.0.1:{own}")
        return verify.reparse(document, change.after, line)
    node = document.command_node(model_id)
    lacking = frozenset(models_without_port(document))
    verify.require_verified(proven=node is not None, line=line)
    assert node is not None
    after = word_insertion(document.text, node, " ".join(_WORDS)).apply(document.text)
    result = verify.reparse(document, after, line)
    changed = verify.find_changed_models(document, result)
    verify.require_verified(
        proven=model_id in changed
        and lacking.issuperset(changed)
        and verify.differs_only_in_scalar(document.root, result.root, node)
        and all(
            verify.command_words(result, one) == (*verify.command_words(document, one), *_WORDS)
            for one in changed
        ),
        line=line,
    )
    return result
