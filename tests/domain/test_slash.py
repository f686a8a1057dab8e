"""Slash commands as they are typed, and what completes them."""

import pytest

from aitui.domain.slash import read_slash_command, suggest

IDS = ("fast-7b", "other-3b")


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("/ai-server-status", "status", []),
        ("/ai-server-refresh", "refresh", []),
        ("/ai-server-load fast-7b", "load", ["fast-7b"]),
        ("/ai-server-unload fast-7b", "unload", ["fast-7b"]),
        ("/ai-server-ctx fast-7b 65536", "ctx", ["fast-7b", "65536"]),
        ("/ai-server-preset", "preset", []),
        ("/ai-server-restart", "restart", []),
    ],
)
def test_the_seven_long_forms_are_the_short_ones(line: str, name: str, words: list[str]) -> None:
    command = read_slash_command(line)
    assert (command.name, command.words) == (name, words)


def test_ai_lists_the_seven_long_forms() -> None:
    words = ("status", "refresh", "load", "unload", "ctx", "preset", "restart")
    labels = [one.label for one in suggest("/ai", IDS)]
    assert labels[:7] == [f"/ai-server-{word}" for word in words]
    assert labels[7:] == []


def test_a_name_comes_before_words_of_what_a_command_does() -> None:
    found = suggest("/con", IDS)
    assert [one.label for one in found[:2]] == ["/continue", "/clear"]
    assert found[0].matched == (1, 2, 3)
    assert "/ctx" in [one.label for one in found[2:]]


def test_ctx_completes_ids_then_sizes() -> None:
    def sizes(model_id: str) -> tuple[tuple[str, str], ...]:
        return (("64k", ""), ("97k", f"the largest that fits {model_id}"))

    assert [one.text for one in suggest("/ctx fa", IDS, (), sizes)] == ["/ctx fast-7b "]
    assert [one.text for one in suggest("/ai-server-ctx fast-7b ", IDS, (), sizes)] == [
        "/ai-server-ctx fast-7b 64k",
        "/ai-server-ctx fast-7b 97k",
    ]
    assert [one.text for one in suggest("/ctx 9", IDS, (), sizes)] == ["/ctx 97k"]
