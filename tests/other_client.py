"""Another client of the same server, who loads, unloads and asks beside aitui."""

import ssl

import aiohttp
from yarl import URL

from aitui.demo.certificates import Certificates
from stand_in import StandIn


class OtherClient:
    """Sends plain requests to a stand-in that wants client certificates."""

    def __init__(self, stand_in: StandIn, certificates: Certificates) -> None:
        self._stand_in = stand_in
        self._certificates = certificates

    async def load(self, model_id: str) -> int:
        """The status with which the load ended."""
        return await self._send("GET", f"/upstream/{model_id}/health")

    async def unload(self, model_id: str) -> int:
        """The status with which the unload ended."""
        return await self._send("POST", f"/api/models/unload/{model_id}")

    def context(self) -> ssl.SSLContext:
        """What its connections are secured with."""
        context = ssl.create_default_context(cafile=self._certificates.root_ca)
        context.load_cert_chain(self._certificates.client_cert, self._certificates.client_key)
        return context

    async def _send(self, method: str, path: str) -> int:
        connector = aiohttp.TCPConnector(ssl=self.context())
        url = URL(f"{self._stand_in.url}{path}")
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.request(method, url) as response,
        ):
            return response.status


async def chat(stand_in: StandIn, certificates: Certificates, model: str) -> None:
    """Another client asks for an answer and waits for all of it."""
    context = OtherClient(stand_in, certificates).context()
    question = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as client,
        client.post(f"{stand_in.url}/v1/chat/completions", json=question) as response,
    ):
        await response.read()
