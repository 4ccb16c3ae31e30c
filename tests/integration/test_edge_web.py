"""How an agent asks its server: who is trusted, and what becomes of answers that are none."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge import identity
from edge.agent import web as asking
from edge.agent.carriers import stream
from edge.agent.home import Home
from edge.agent.keys import KeyRing
from edge.agent.tokens import Tokens, lasts
from edge.agent.web import Unanswered, Web
from tests.support.mail import vouched_for

pytestmark = pytest.mark.anyio

FINE = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def answering(
    answer: bytes, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says the same to everybody, and hangs up; what it was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def test_a_server_is_believed_by_its_certificate_alone(tmp_path: Path) -> None:
    vouched = vouched_for(tmp_path)
    async with answering(FINE, vouched.context) as (port, asked):
        stranger = Web(f"https://127.0.0.1:{port}")
        with pytest.raises(Unanswered, match="is not trusted"):
            await stranger.ask("GET", "/x", token="secret")
        assert asked == []
        known = Web(f"https://127.0.0.1:{port}/base", str(vouched.authority))
        answer = await known.ask("GET", "/x", token="secret")
        assert (answer.status, answer.clock) == (200, 1767225600.0)
        assert asked[0].startswith(b"GET /base/x HTTP/1.1")
        assert b"Authorization: Bearer secret" in asked[0]
        another = Web(f"https://localhost:{port}", str(vouched.authority))
        with pytest.raises(Unanswered, match="is not trusted"):
            await another.ask("GET", "/x")
        for each in (stranger, known, another):
            each.close()


async def test_nothing_is_streamed_to_whom_the_certificate_does_not_vouch_for(
    tmp_path: Path,
) -> None:
    vouched = vouched_for(tmp_path)
    async with answering(FINE, vouched.context) as (port, asked):
        web = Web(f"https://127.0.0.1:{port}")
        with pytest.raises(Unanswered, match="is not trusted"):
            await stream.dial(web, with_token(web, tmp_path))
        assert asked == []


def with_token(web: Web, folder: Path) -> Tokens:
    home = Home(folder)
    identity.make_key(home.key)
    tokens = Tokens(web, "press-7", KeyRing(home), "key")
    tokens.token, tokens.until = "secret", float("inf")
    return tokens


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "127.0.0.1"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "127.0.0.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nx", "127.0.0.1"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (asking.LARGEST + 1), "more than"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "answers 500"),
        (
            b"HTTP/1.1 403 No\r\nContent-Length: 15\r\n\r\n" + b'{"detail": "no"}'[:15],
            "answers 403",
        ),
        (b'HTTP/1.1 403 No\r\nContent-Length: 16\r\n\r\n{"detail": "no"}', "^no$"),
    ],
)
async def test_an_answer_that_is_none_is_a_reason(answer: bytes, why: str) -> None:
    async with answering(answer) as (port, _):
        web = Web(f"http://127.0.0.1:{port}")
        with pytest.raises(Unanswered, match=why):
            await web.ask("GET", "/x")
        web.close()


@pytest.mark.parametrize(("code", "count"), [("forbidden", 1), ("", 0)])
async def test_a_revocation_is_passed_on_when_the_server_says_so_and_nobody_else(
    tmp_path: Path, code: str, count: int
) -> None:
    body = f'{{"detail": "it was revoked", "code": "{code}"}}'.encode()
    head = f"HTTP/1.1 403 No\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    heard: list[None] = []
    async with answering(head + body) as (port, _):
        web = Web(f"http://127.0.0.1:{port}")
        tokens = with_token(web, tmp_path)
        tokens.until, tokens.shut_out = float("-inf"), lambda: heard.append(None)
        with pytest.raises(Unanswered, match="it was revoked"):
            await tokens.get()
        web.close()
    assert len(heard) == count


async def test_whoever_is_no_server_of_ours_is_found_out(tmp_path: Path) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    async with answering(page) as (port, _):
        web = Web(f"http://127.0.0.1:{port}")
        with pytest.raises(Unanswered, match="is this a server of ours"):
            (await web.ask("GET", "/x")).json()
        with pytest.raises(stream.Blocked, match="200 to a stream"):
            await stream.dial(web, with_token(web, tmp_path))
        web.close()


async def test_a_proxy_of_the_environment_is_used_and_none_on_the_same_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering(b"HTTP/1.1 503 No\r\n\r\n") as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        away = Web("https://procession.example")
        with pytest.raises(Unanswered, match="503"):
            await away.ask("GET", "/x", token="secret")
        assert asked[0].startswith(b"CONNECT procession.example:443")
        assert b"secret" not in asked[0]
        monkeypatch.setenv("no_proxy", "procession.example")
        assert asking.proxy_for("https", "procession.example") is None
        away.close()


def test_how_long_a_token_holds_is_reckoned_by_the_servers_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.agent.tokens.time.monotonic", lambda: 1000.0)
    assert lasts(1767225600.0, "2026-01-01T00:30:00Z") == 1000 + 1800 - 60
    assert lasts(None, "2026-01-01T00:30:00Z") == 1000 + 300 - 60
    assert lasts(1767225600.0, "soon") == 1000 + 300 - 60
    assert identity.at_server("k") == "server:k"
