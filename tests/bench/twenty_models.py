"""A stand-in with twenty models behind mTLS, in a process of its own: `python -m bench.twenty_models DIR`."""

import asyncio
import sys
from pathlib import Path

from aitui.demo.dialect import Dialect
from aitui.demo.stand_in import StandIn
from certificates import make_certificates

CONFIG = "models:\n" + "".join(
    f'  "model-{number:02}-7b-Q4_K_M":\n'
    f'    cmd: "/opt/llama-server --port ${{PORT}} --ctx-size {4096 * number}"\n'
    for number in range(1, 21)
)


async def main() -> None:
    """Print the URL and serve until the input ends or a signal comes."""
    certificates = make_certificates(Path(sys.argv[1]))
    folder = Path(sys.argv[1])
    for name, path in (
        ("client.pem", certificates.client_cert),
        ("client-key.pem", certificates.client_key),
    ):
        if not (folder / name).exists():
            (folder / name).write_bytes(path.read_bytes())
    async with StandIn(CONFIG, Dialect.HEAD, certificates) as running:
        print(running.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
