"""HTTP and WebSockets as uvicorn speaks them, but for what it should not do.

With httptools it would keep any number of headers of any size. A WebSocket that is refused with
words of ours it would take for one whose handshake nobody completed, and log an error for each.
"""

from typing import TYPE_CHECKING

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

HEAD = 64 * 1024  # bytes before a body, the address among them
REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """Gives a head up as soon as it is too long, and the connection with it."""

    _head = 0
    _in_head = True
    _begun = False

    def data_received(self, data: bytes) -> None:
        self._begun = False
        super().data_received(data)
        if not self._in_head or self._begun or self.transport.is_closing():
            return
        self._head += len(data)  # it was all of one head, which has not ended
        if self._head > HEAD:
            self._refuse()

    def on_message_begin(self) -> None:
        self._head, self._in_head, self._begun = 0, True, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD:
            self._refuse()
            raise httptools.HttpParserError("the head is too long")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _refuse(self) -> None:
        self.transport.write(REFUSAL)
        self.transport.close()


class Answered(WebSocketsSansIOProtocol):
    """Who was told no has had its answer."""

    async def send(self, message: "ASGISendEvent") -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
