"""What stands below a reply."""

from aitui.domain.chat.conversation import Role, Turn
from aitui.domain.chat.reply import TokenUsage
from aitui.ui.reply_text import footer_items


def test_a_reply_has_a_rate_also_without_the_timings_of_the_server() -> None:
    usage = TokenUsage(prompt_tokens=10, completion_tokens=90)
    turn = Turn("a", "q", Role.ASSISTANT, began=100.0, ended=104.0, first_token=1.0, usage=usage)
    assert footer_items(turn)[:2] == ("90 tokens", "30.0 tok/s")
