"""Where a workstation is called: by its server, and by other workstations.

One port for both, which the path of the request tells apart. Who has not proved yet who it is has
little room and little time.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from edge import doors, knocking, wire
from edge.agent.home import Unusable, is_loopback
from edge.doors import PEERS, STREAM, SUBPROTOCOL
from edge.knocking import Door, Reason, Refused, Self, Visitor

log = logging.getLogger(__name__)

MOST_STRANGERS = 32  # that have not proved yet who they are
MOST = 1_000

Guest: TypeAlias = Callable[[ServerConnection, Visitor], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where, and with which certificate: whose it is, the workstation's key says."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None  # where it is not in the same file

    @property
    def is_bare(self) -> bool:
        return self.certificate is None and not is_loopback(self.host)


def existing(certificate: str, key: str | None) -> tuple[Path, Path | None]:
    """Files of somebody else's."""
    found = Path(certificate), Path(key) if key else None
    for each in found:
        if each is not None and not each.is_file():
            raise Unusable(f"{each} is no file", "see --cert and --cert-key")
    return found


def read_listen(text: str) -> tuple[str, int]:
    """HOST:PORT or PORT, which is on this machine alone."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        remedy = "for example 0.0.0.0:7443"
        raise Unusable(f"{text[:80]!r} is no place to listen at: HOST:PORT is due", remedy)
    return host.strip("[]") or "127.0.0.1", int(port)


class Listener:
    def __init__(self, listening: Listening, me: Self, guests: Mapping[str, Guest]) -> None:
        self.listening, self.me, self.guests = listening, me, guests
        self.binding = read_binding(listening)
        self.strangers = 0
        self.place = ""
        self.server: Server | None = None

    async def open(self) -> int:
        """The port that it is."""
        if self.listening.is_bare:
            log.warning("without a certificate all on this network can read what is said")
        try:
            self.server = await self.serve()
        except OSError as error:
            place = f"{self.listening.host}:{self.listening.port}"
            why = f"nobody can listen at {place}: {error.strerror or error}"
            raise Unusable(why, "choose another --listen") from None
        port: int = next(iter(self.server.sockets)).getsockname()[1]
        scheme = "wss" if self.listening.certificate else "ws"
        self.place = f"{scheme}://{self.listening.host}:{port}"
        log.info("called at", extra={"address": self.place})
        return port

    async def serve(self) -> Server:
        return await serve(
            self.meet,
            self.listening.host,
            self.listening.port,
            ssl=context(self.listening),
            process_request=self.look_at,
            subprotocols=list(SUBPROTOCOL.values()),
            server_header=None,
            compression=None,
            open_timeout=doors.OPENING,
            close_timeout=2.0,
            ping_interval=doors.ALIVE,
            ping_timeout=doors.ALIVE,
            max_size=2 * wire.LARGEST,
        )

    async def close(self) -> None:
        if self.server is not None:
            self.server.close(code=1001, reason="the workstation's agent ends")
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.server.wait_closed()

    def look_at(self, socket: ServerConnection, request: Request) -> Response | None:
        """Before it is a WebSocket."""
        if request.path not in self.guests:
            return socket.respond(
                HTTPStatus.NOT_FOUND, "a workstation of Procession listens here\n"
            )
        if self.strangers >= MOST_STRANGERS or (
            self.server and len(self.server.connections) > MOST
        ):
            return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many call at once\n")
        return None

    async def meet(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        path = socket.request.path
        try:
            visitor = await self.identify(socket)
            check_purpose(path, visitor)
        except Refused as refused:
            log.warning(
                "caller sent away",
                extra={"peer": peer_of(socket), "reason": refused.reason, "why": refused.why},
            )
            with suppress(ConnectionClosed):
                await doors.send_away(socket, refused)
            return
        except ConnectionClosed:
            return
        with suppress(ConnectionClosed):
            await self.guests[path](socket, visitor)

    async def identify(self, socket: ServerConnection) -> Visitor:
        self.strangers += 1
        try:
            return await doors.let_in(socket, self.door())
        finally:
            self.strangers -= 1

    def door(self) -> Door:
        me = self.me
        server_key = me.server_key()
        if not server_key:
            why = "this workstation has not heard the key of its server yet"
            raise Refused(Reason.SERVER, why)
        return Door(
            me.name, me.lineage, me.sign, server_key, nonce=doors.nonce(), binding=self.binding
        )


def check_purpose(path: str, visitor: Visitor) -> None:
    """The server comes for its stream, and a workstation for what peers say to each other."""
    is_server = knocking.is_server(visitor.grant)
    if path == STREAM and not is_server:
        raise Refused(Reason.SERVER, f"{visitor.grant.station!r} is not our server")
    if path == STREAM and visitor.is_expired:
        raise Refused(Reason.EXPIRED, "the server's token has expired: compare the clocks")
    if path == PEERS and is_server:
        raise Refused(Reason.SERVER, f"the server is served at {STREAM}")


def read_binding(listening: Listening) -> str:
    try:
        return doors.own_binding(listening.certificate)
    except (OSError, ValueError) as error:
        raise Unusable(f"the certificate cannot be used: {error}", "see --cert") from None


def context(listening: Listening) -> ssl.SSLContext | None:
    if listening.certificate is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(listening.certificate, listening.key)
    except (OSError, ssl.SSLError) as error:
        raise Unusable(f"the certificate cannot be used: {error}", "see --cert") from None
    return made


def peer_of(socket: ServerConnection) -> str:
    address = socket.remote_address
    return str(address[0]) if address else ""
