"""Ports for servers that a test starts."""

import random
import socket

PORTS = range(10_000, 32_000)
"""Below those that the system gives to outgoing connections: one of those may be taken again before our server has it."""
_any = random.SystemRandom()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    while True:
        port = _any.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
