"""What stands below a reply."""

from aitui.domain.chat.conversation import Role, Turn
from aitui.domain.chat.reply import GenerationTimings, TokenUsage
from aitui.ui.reply_text import footer_items


def test_a_reply_has_a_rate_also_without_the_timings_of_the_server() -> None:
    usage = TokenUsage(prompt_tokens=10, completion_tokens=90)
    turn = Turn("a", "q", Role.ASSISTANT, began=100.0, ended=104.0, first_token=1.0, usage=usage)
    assert footer_items(turn)[:2] == ("90 tokens", "30.0 tok/s")


def test_a_footer_says_how_much_of_the_prompt_was_cached() -> None:
    timings = GenerationTimings(tokens=90, rate=48.0, prompt_tokens=20, cached=980)
    turn = Turn("a", "q", Role.ASSISTANT, timings=timings)
    assert "98 % of the prompt cached" in footer_items(turn)
