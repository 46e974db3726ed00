"""Ports for servers that have to be told theirs."""

import random
import socket

LOWEST, HIGHEST = 10_000, 32_000
"""Below those that the kernel gives to whoever connects, who could have a port taken by the time that a server wants it."""


def free_port(host: str = "127.0.0.1") -> int:
    """Find a port that neither TCP nor UDP uses at an address."""
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        with socket.socket() as over_tcp, socket.socket(type=socket.SOCK_DGRAM) as over_udp:
            try:
                over_tcp.bind((host, port))
                over_udp.bind((host, port))
            except OSError:
                continue
            return port
