"""What comes before a body has an end, also when nobody says where."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.postgres import Databases
from tests.support.servers import served
from tests.support.waiting import patience

BEGIN = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("heads")
    with databases.cloned() as dsn, served(dsn, folder) as url:
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        yield address.hostname, address.port


def status(server: tuple[str, int], *parts: bytes) -> bytes:
    """The first line of the answer, though the server closes while we still send."""
    with socket.create_connection(server, timeout=patience(10)) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            return connection.recv(4096).partition(b"\r\n")[0]
        except ConnectionResetError:
            return b"reset"


def test_a_head_within_the_bound_is_read(server: tuple[str, int]) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(60))
    assert b"200" in status(server, BEGIN + headers + b"\r\n")


@pytest.mark.parametrize(
    "rest",
    [
        b"X-One: " + b"y" * 70_000 + b"\r\n\r\n",
        b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
    ],
    ids=["one header", "many headers"],
)
def test_a_head_that_is_too_long_is_refused(server: tuple[str, int], rest: bytes) -> None:
    assert status(server, BEGIN, rest) in (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"reset",
    )


def test_a_head_that_never_ends_is_given_up_after_little_of_it(server: tuple[str, int]) -> None:
    """Whoever goes on sending meets a closed connection before a hundredth of it is taken."""
    with socket.create_connection(server, timeout=patience(10)) as connection:
        connection.sendall(BEGIN + b"X: ")
        # What fits into the kernel's buffers is sent as well.
        assert sent_before_closed(connection, 100 << 20) < 16 << 20
    assert b"200" in status(server, BEGIN + b"\r\n")


def sent_before_closed(connection: socket.socket, most: int) -> int:
    sent = 0
    try:
        while sent < most:
            sent += connection.send(b"y" * 65536)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def test_an_address_that_is_too_long_is_refused(server: tuple[str, int]) -> None:
    line = b"GET /api/v1/runs?type=" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert status(server, line) in (b"HTTP/1.1 431 Request Header Fields Too Large", b"reset")


def test_requests_behind_each_other_have_a_head_each(server: tuple[str, int]) -> None:
    large = b"X: " + b"y" * 40_000 + b"\r\n\r\n"
    assert b"200" in status(server, (BEGIN + large) * 4)
