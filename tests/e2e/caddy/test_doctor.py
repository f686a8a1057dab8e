"""The check-up through Caddy: what it can tell apart there."""

import pytest
from msgspec.structs import replace

from aitui.domain.checks import CheckStatus
from aitui.domain.snapshot import Server
from e2e.caddy.openssl import Guide
from e2e.caddy.proxy import Caddy
from services.doctor.examined import examined
from stand_in import StandIn

pytestmark = pytest.mark.real_server("caddy")


async def test_nothing_is_wrong_with_the_guides_setup(behind_caddy: Server) -> None:
    report = await examined(behind_caddy)
    assert report.failed == []
    assert report["client certificate issuer"].seen.startswith("C=DE,O=Example,CN=Example Root CA")
    assert "the server's state after" in report["/api/events"].seen
    assert report.status("clock") is CheckStatus.PASSED


async def test_the_trust_is_told_from_the_acceptance(behind_caddy: Server, foreign: Guide) -> None:
    pair = foreign.client("for-the-doctor")
    report = await examined(
        replace(behind_caddy, client_cert=pair.certificate, client_key=pair.key)
    )
    assert report.status("TLS") is CheckStatus.PASSED
    assert report.failed == ["certificate accepted"]
    assert report["client certificate issuer"].remedy.startswith("openssl verify")


async def test_a_name_that_caddy_doesnt_serve_is_told_once(
    caddy: Caddy, behind_caddy: Server
) -> None:
    report = await examined(replace(behind_caddy, url=caddy.url_by_address))
    assert report.status("certificate accepted") is CheckStatus.PASSED
    assert report.failed == ["/health"]
    assert "doesn't serve the name 127.0.0.1" in report["/health"].seen


async def test_a_stopped_llama_swap_is_told_once(upstream: StandIn, behind_caddy: Server) -> None:
    await upstream.stop()
    report = await examined(behind_caddy)
    assert report.status("certificate accepted") is CheckStatus.PASSED
    assert report.failed == ["/health"]
    assert "llama-swap.service" in report["/health"].remedy
