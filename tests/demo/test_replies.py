"""What the demo's models say."""

import pytest

from aitui.demo.replies import REPLIES, choose_reply, split_tokens


@pytest.mark.parametrize(
    ("prompt", "sign"),
    [
        ("Split this model over both cards", "| KV cache | 128k"),
        ("Write a parser in Python", "```python"),
        ("Compare the quantizations", "| `Q8_0` |"),
        ("How do I install it?", "1. **A unit"),
        ("Why is it slow?", "2. A second request"),
        ("Hello", "aitui's demo"),
    ],
)
def test_the_reply_fits_the_prompt(prompt: str, sign: str) -> None:
    assert sign in choose_reply(prompt, 1).text


def test_prompts_without_a_topic_get_every_reply_in_turn() -> None:
    found = {choose_reply("lorem ipsum", number).text for number in range(5)}
    assert len(found) == 5


def test_a_reply_is_whole_when_its_tokens_are_joined() -> None:
    for reply in REPLIES:
        assert "".join(split_tokens(reply.text)) == reply.text
