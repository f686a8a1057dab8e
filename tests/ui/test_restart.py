"""A restart of the service while a request runs: what is said before it, and while it lasts."""

from pathlib import Path

from aitui.demo.world import demo_world
from aitui.domain.snapshot import ConnectionPhase, Server
from ui.driven import Driven, driven

CONFIG = 'models: {big-70b: {cmd: "llama-server --port ${PORT}"}}'


def seconds_left(app: Driven) -> int:
    """What the step says of the wait."""
    return int(app.text.partition("request, at most ")[2].split()[0])


async def test_a_restart_that_waits_for_a_request_says_so_and_counts_down(tmp_path: Path) -> None:
    async with demo_world(config_text=CONFIG) as world:
        server = Server(
            url=world.url,
            identity="demo",
            name="demo",
            ca=world.certificates.root_ca,
            client_cert=world.certificates.client_cert,
            client_key=world.certificates.client_key,
            ssh_host=world.ssh_host,
            ssh_home=world.ssh_setup.home,
        )
        async with driven(server, tmp_path, size=(120, 36)) as app:
            async with world.server.busy("big-70b"):
                await app.see("1 req")
                await app.press("R")
                await app.see("llama-swap first waits up to 30 s for 1 running request to end")
                await app.answer("y")
                await app.see("waits for 1 running request, at most")
                left = seconds_left(app)
                assert left <= 30
                await app.until(lambda: seconds_left(app) < left, "counted down")
                await app.press("escape")
                await app.see("◌ restarts, ≤ 2")
                assert app.models.snapshot.connection.phase is ConnectionPhase.LOST
                assert "✘" not in app.text
            await app.told("Restarted")
            await app.unsee("◌ restarts")
