"""Socket options that notice a dead peer: a stream without a heartbeat would wait for ever.

After a laptop slept or a VPN went, no packet tells that the connection is gone. The kernel asks
after 30 silent seconds and gives up half a minute later.
"""

import socket

_IDLE_SECONDS = 30
_INTERVAL_SECONDS = 10
_PROBES = 3


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_SECONDS),
        ("TCP_KEEPINTVL", _INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _PROBES),
    ):
        option = getattr(socket, name, None)  # macOS calls the first TCP_KEEPALIVE
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options


KEEPALIVE = _socket_options()
