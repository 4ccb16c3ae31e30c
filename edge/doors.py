"""Sockets between two that prove themselves to each other: see `knocking` for what they say.

Certificates are made by whoever listens and signed by nobody else: the key of the one that listens
vouches for the one that the caller sees. Without TLS what is said can be read on its way.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from edge import knocking, wire
from edge.knocking import Caller, Door, Reason, Refused, Visitor

STREAM, PEERS = "/stream", "/peer"  # what a workstation that listens is asked for
SUBPROTOCOL = {STREAM: Subprotocol("procession.1"), PEERS: Subprotocol("procession-peer.1")}
OPENING = 15.0  # seconds
ALIVE = 20.0
AWAY = 4401
PORT = 7443


class Unreached(Exception):
    """Nobody answers there, or not in our way: says why."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int = PORT
    is_secure: bool = True

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.is_secure else 'ws'}://{host}:{self.port}"


def read_address(text: str) -> Address:
    """HOST, HOST:PORT, wss://HOST:PORT or, where what is said may be read by all, ws://HOST:PORT."""
    parts = urlsplit(text if "//" in text else f"wss://{text}")
    try:
        port = parts.port or PORT
    except ValueError:
        raise ValueError(f"{text[:120]!r}: a port is a number from 1 to 65535") from None
    extra = (parts.username, parts.password, parts.query, parts.fragment, parts.path.strip("/"))
    if parts.scheme not in ("ws", "wss") or not parts.hostname or any(extra):
        raise ValueError(f"{text[:120]!r} is no address: HOST:PORT or wss://HOST:PORT is due")
    return Address(parts.hostname, port, parts.scheme == "wss")


# What a caller sees of whom it calls.


def binding_of(certificate: bytes | None) -> str:
    return sha256(certificate).hexdigest() if certificate else ""


def own_binding(certificate: Path | None) -> str:
    """Of the file that is shown to callers: the first in it is ours."""
    if certificate is None:
        return ""
    text = certificate.read_text()
    end = "-----END CERTIFICATE-----"
    begin = text.find("-----BEGIN CERTIFICATE-----")
    if begin < 0 or end not in text:
        raise ValueError(f"{certificate}: no certificate is in it")
    first = text[begin : text.index(end, begin) + len(end)]
    return binding_of(ssl.PEM_cert_to_DER_cert(first))


def seen_binding(socket: Connection) -> str:
    tls = socket.transport.get_extra_info("ssl_object")
    return "" if tls is None else binding_of(tls.getpeercert(binary_form=True))


def any_certificate() -> ssl.SSLContext:
    """It is checked by what the other end signs, and not by who has signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# Calling.


def nonce() -> str:
    return token_urlsafe(24)


async def call(
    address: Address, path: str, make: Callable[[str, str], Caller]
) -> tuple[ClientConnection, Caller]:
    """`make` is given a nonce and the binding. Raises Unreached, or Refused if somebody is."""
    try:
        async with asyncio.timeout(OPENING):
            socket = await opened(address, path)
            try:
                return socket, await introduced(socket, make(nonce(), seen_binding(socket)))
            except BaseException:
                socket.transport.abort()
                raise
    except TimeoutError:
        raise Unreached(f"{address.url} does not answer within {OPENING:.0f} s") from None
    except (ConnectionClosed, InvalidHandshake, EOFError) as error:
        raise Unreached(f"{address.url}: {error}") from None
    except OSError as error:
        raise Unreached(f"{address.url}: {error.strerror or error}") from None


async def opened(address: Address, path: str) -> ClientConnection:
    return await connect(
        f"{address.url}{path}",
        ssl=any_certificate() if address.is_secure else None,
        subprotocols=[SUBPROTOCOL[path]],
        user_agent_header="procession",
        compression=None,
        proxy=None,
        open_timeout=None,
        close_timeout=2.0,
        ping_interval=ALIVE,
        ping_timeout=ALIVE,
        max_size=2 * wire.LARGEST,
    )


async def introduced(socket: ClientConnection, caller: Caller) -> Caller:
    await socket.send(caller.knock())
    await socket.send(caller.opened(await socket.recv()))
    return caller


# Being called.


async def let_in(socket: Connection, door: Door) -> Visitor:
    """Who it is that called."""
    try:
        async with asyncio.timeout(OPENING):
            await socket.send(door.knock(await socket.recv(), time.time()))
            return door.proven(await socket.recv())
    except TimeoutError:
        raise Refused(Reason.FORM, f"nothing was said within {OPENING:.0f} s") from None


async def send_away(socket: Connection, refused: Refused) -> None:
    await socket.send(knocking.away(refused))
    await socket.close(AWAY, short(refused.why))


def short(why: str) -> str:
    """As much as a close of a WebSocket has room for."""
    return why.encode()[:120].decode(errors="ignore")
