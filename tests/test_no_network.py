import socket

import pytest


def test_tests_reach_nothing_but_this_machine() -> None:
    with socket.socket() as outside, pytest.raises(OSError, match="tests reach no network"):
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(OSError, match="tests reach no network"):
        socket.getaddrinfo("example.org", 80)
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
