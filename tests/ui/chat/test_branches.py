"""The status belongs to what is shown, and nothing stands in front of it."""

from ui.chat.pane import Pane


def shows_rates(pane: Pane) -> bool:
    """Whether the line above the prompt is of the latest answer."""
    return pane.widget.status.reply is pane.answer


async def test_the_status_of_an_answer_on_another_branch_goes(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.send("/retry")
    await pane.app.see("2 of 2")
    await pane.ended()
    assert shows_rates(pane)
    await pane.send("/branch")
    await pane.app.see("1 of 2")
    assert not shows_rates(pane)
    await pane.send("/branch")
    await pane.app.see("2 of 2")
    assert shows_rates(pane)


async def test_what_is_said_in_passing_leaves_prompt_and_status_in_sight(pane: Pane) -> None:
    await pane.send("/no-such-command")
    await pane.app.told("there is no command")
    await pane.app.see("there is no command")
    assert pane.app.toasts == []
