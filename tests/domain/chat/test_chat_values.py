"""Small values of a chat: parameters, attachments, growing texts, exports."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aitui.domain.chat import conversation as edits
from aitui.domain.chat.conversation import (
    Conversation,
    SamplingParameters,
    TurnState,
    append_text_file,
    decode_text_file,
    encode_image,
    parse_sampling,
)
from aitui.domain.chat.reply import GrowingText
from aitui.services.export import conversation_as_json, conversation_as_markdown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("temperature=0.7", 0.7),
        ("seed=42", 42),
        ("stop=END", "END"),
        ('stop=["a", "b"]', ["a", "b"]),
        ("cache_prompt=true", True),
        ("reasoning_effort=high", "high"),
        ('chat_template_kwargs={"enable_thinking": false}', {"enable_thinking": False}),
        ("x=a=b", "a=b"),
    ],
)
def test_a_parameter_is_read_as_json_or_as_text(text: str, value: object) -> None:
    assert list(parse_sampling([text]).as_object().values()) == [value]


@pytest.mark.parametrize(
    "text",
    [
        *("temperature", "temperature=hot", "temperature=NaN", "temperature=true", "seed=1.5"),
        *("messages=[]", "model=x", "stream=false", "=1", "a b=1", "stop=" + "x" * 100_001),
        *("seed=1e999", "temperature=[1]"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_sampling([text])


def test_an_empty_value_removes_a_parameter() -> None:
    assert parse_sampling(["seed=1", "top_k=2", "seed="]) == parse_sampling(["top_k=2"])


def test_the_later_parameter_counts() -> None:
    assert parse_sampling(["seed=1", "seed=2"]).as_object() == {"seed": 2}
    merged = SamplingParameters.of({"seed": 1, "top_k": 3}).with_values(
        SamplingParameters.of({"seed": 2})
    )
    assert merged.as_object() == {"seed": 2, "top_k": 3}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_an_image_is_known_by_its_first_bytes(content: bytes, kind: str) -> None:
    assert encode_image("x", content).media_type == kind


@pytest.mark.parametrize("content", [b"", b"hello", b"<svg/>", b"\x89PNG" + b"x" * (21 << 20)])
def test_what_is_no_image_or_too_large_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"image|larger"):
        encode_image("x", content)


def test_a_text_file_is_fenced_safely() -> None:
    assert append_text_file("What?", "a.md", "```\nx") == "What?\n\na.md:\n````\n```\nx\n````"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="neither"):
        decode_text_file("x", content)


@given(st.lists(st.text(max_size=3000), max_size=12), st.data())
def test_a_growing_text_is_its_pieces(pieces: list[str], data: st.DataObject) -> None:
    growing, views = GrowingText(), []
    for piece in pieces:
        growing.append(piece)
        views.append(growing.view())
    whole = "".join(pieces)
    for number, view in enumerate(views):
        assert str(view) == "".join(pieces[: number + 1])
    start = data.draw(st.integers(0, len(whole) + 3))
    assert growing.view().since(start) == whole[start:]


@pytest.fixture
def talk() -> Conversation:
    asked = edits.add_prompt(Conversation("c", model="m", system="Be brief."), "q", "Why?", 1.0)
    running = edits.with_reply(asked, "a", 2.0)
    answer = replace(running.turns["a"], text="Because.", reasoning="hm", state=TurnState.CUT)
    return running.with_turn(answer)


def test_markdown_reads_as_a_conversation(talk: Conversation) -> None:
    assert conversation_as_markdown(talk) == (
        "# Why?\n\nm\n\n**System**\n\nBe brief.\n\n## You\n\nWhy?\n\n## m\n\nBecause.\n\n*(cut)*\n"
    )
    assert "> hm" in conversation_as_markdown(talk, reasoning=True)


def test_json_holds_every_turn(talk: Conversation) -> None:
    value = json.loads(conversation_as_json(edits.add_alternative_reply(talk, "a", "b", 3.0)))
    assert value["version"] == 1
    assert [turn["id"] for turn in value["turns"]] == ["q", "a", "b"]
    assert value["turns"][1]["state"] == "cut"
