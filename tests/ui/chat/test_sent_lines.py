"""The lines above the prompt: what goes along, what the model can't do, how full the context is."""

import pytest
from textual.app import ComposeResult

from aitui.domain.chat.conversation import Attachment
from aitui.domain.models import Model
from aitui.ui.widgets.chat_status import SentFacts, SentLines
from ui.themed import Themed

IMAGE = Attachment("cat.png", "image/png", "data:")
TEXT_MODEL = Model("m", command="llama-server -m m.gguf")


class Lines(Themed):
    """Nothing but these lines."""

    def compose(self) -> ComposeResult:
        yield SentLines()


async def written(facts: SentFacts) -> str:
    """What the lines say of these facts."""
    app = Lines()
    async with app.run_test(size=(58, 14)) as pilot:
        lines = app.query_one(SentLines)
        lines.facts = facts
        await pilot.pause()
        rows = range(lines.size.height) if lines.display else ()
        return "\n".join(lines.render_line(y).text for y in rows)


@pytest.mark.parametrize(
    ("command", "images", "words"),
    [
        ("llama-server -m m.gguf --embeddings", (), "embedding model: can't chat"),
        ("llama-server -m m.gguf --reranking", (), "reranker: can't chat"),
        ("llama-server -m m.gguf", (IMAGE,), "can't see images"),
        ("llama-server -m m.gguf --mmproj eyes.gguf", (IMAGE,), "the model sees images"),
    ],
)
async def test_what_the_model_cannot_do_is_said_before_it_is_asked(
    command: str, images: tuple[Attachment, ...], words: str
) -> None:
    assert words in await written(SentFacts(images=images, model=Model("m", command=command)))


@pytest.mark.parametrize("model", [TEXT_MODEL, Model("m", command="vllm serve m"), None])
async def test_without_an_image_or_a_known_command_nothing_is_said(model: Model | None) -> None:
    assert await written(SentFacts(model=model)) == ""
    if model is not TEXT_MODEL:
        assert "images" not in await written(SentFacts(images=(IMAGE,), model=model))


@pytest.mark.parametrize(("used", "offered"), [(79, False), (80, True)])
async def test_a_context_that_is_nearly_full_offers_one_that_fits(used: int, offered: bool) -> None:
    facts = SentFacts(used=used, context_size=100, larger_fits=131_072)
    assert ("/ctx 128k fits" in await written(facts)) is offered
