"""Reads what a server answers, no more of it than is wanted, however it was packed."""

import zlib

import httpx

from executor import plain
from executor.plain import Json, NotPlain

GZIP_OR_ZLIB = 47


class Unreadable(Exception):
    """The answer cannot be taken; says why."""


class Unpacker:
    """Unpacks no more than is asked for: a little that is packed may be very much."""

    def __init__(self, packing: str):
        self.packing = packing
        if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Unreadable("the answer is packed in a way that was not asked for")
        self.packed = packing not in ("", "identity")
        self.unpack = zlib.decompressobj(GZIP_OR_ZLIB)

    def feed(self, data: bytes, room: int) -> bytes:
        """One byte more than `room` if there is more."""
        if not self.packed:
            return data[: room + 1]
        try:
            return self.unpack.decompress(data, room + 1)
        except zlib.error as error:
            raise Unreadable("the answer is not packed as it says") from error

    def finish(self) -> None:
        if self.packed and not self.unpack.eof:
            raise Unreadable("the answer was cut short")


async def read(response: httpx.Response, most: int) -> bytes:
    unpacker = Unpacker(response.headers.get("content-encoding", "").strip().lower())
    body = bytearray()
    async for data in response.aiter_raw():
        body += unpacker.feed(data, most - len(body))
        if len(body) > most:
            raise Unreadable(f"the answer has more than {most} bytes: raise 'max_response'")
    if body:
        unpacker.finish()
    return bytes(body)


def value_of(body: bytes, kind: str) -> Json:
    """JSON where it is, else text; null where there is nothing."""
    if not body:
        return None
    name, _, parameters = kind.lower().partition(";")
    if name.strip() == "application/json" or name.strip().endswith("+json"):
        try:
            return plain.read(body.decode())
        except (NotPlain, UnicodeDecodeError):
            pass
    return plain.text_of(body.decode(charset_of(parameters), errors="replace").encode())


def charset_of(parameters: str) -> str:
    for each in parameters.split(";"):
        name, _, value = each.strip().partition("=")
        if name == "charset" and value.strip('"') in ("iso-8859-1", "latin1", "windows-1252"):
            return value.strip('"')
    return "utf-8"
