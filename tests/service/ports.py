"""Ports for servers that tests start as processes of their own."""

import random
import socket


def free_ports(count: int) -> list[int]:
    """Below those that the kernel gives to clients: one that asks before the server is there may be given its port."""
    ports: list[int] = []
    for port in random.sample(range(20_000, 32_000), 12_000):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError("no port is free")
