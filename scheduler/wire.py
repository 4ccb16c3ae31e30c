"""HTTP as uvicorn reads it with httptools, which would keep any number of headers of any size."""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
