"""A new user in a clean home: from nothing to a live table."""

from pathlib import Path

from aitui.settings import DEFAULT_URL
from catalogue import CATALOGUE, QUICK
from e2e.pseudo_terminal.terminal import terminal
from stand_in import StandIn


def asking(port: int) -> tuple[str, str]:
    """The program on a machine with that usual port."""
    patch = f"import sys, aitui.domain.server as server; server.USUAL_PORTS = ({port},)"
    return ("-c", f"{patch}; from aitui.__main__ import main; sys.exit(main([]))")


async def test_a_llama_swap_of_this_machine_is_one_key_away(nobody: dict[str, str]) -> None:
    async with StandIn(CATALOGUE) as server:
        program = asking(int(server.url.rpartition(":")[2]))
        async with terminal((), nobody, program=program) as opened:
            await opened.see("● http://localhost:", "14 models", "⏎ connect")
            assert {one.path for one in server.requests} <= {
                *("/running", "/v1/models", "/api/version")
            }
            opened.press("\r")
            await opened.see("local ●", QUICK)
        async with terminal((), nobody) as opened:
            await opened.see("local ●", QUICK)


async def test_where_nothing_answers_it_says_what_to_do(
    nobody: dict[str, str], unused_tcp_port: int
) -> None:
    async with terminal((), nobody, program=asking(unused_tcp_port)) as opened:
        await opened.see("connection refused", "▌ ○ another address", "demo server")
        assert DEFAULT_URL.partition("://")[2] not in opened.text
        opened.press("q")
        assert await opened.ends() == 0
    assert not Path(nobody["HOME"], ".config").exists()
