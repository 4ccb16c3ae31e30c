"""HTTP/1.1, as little of it as a page needs: one request on each connection, bounded in every way.

Whatever is unusual is refused, not guessed at: bodies without a length, headers that continue on
the next line, lengths that are given twice.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_to_bytes

HEAD, BODY = 16 << 10, 256 << 10
MOST_HEADERS, MOST_FIELDS = 64, 50
PATIENCE = 10.0  # seconds until a request is there, or an answer gone

LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]{0,2047}) HTTP/1\.([01])")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
ALONE = frozenset({"host", "content-length", "content-type", "origin", "sec-fetch-site"})


class Bad(Exception):
    """What is answered instead of what was asked for."""

    def __init__(self, status: int, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


async def read(reader: asyncio.StreamReader) -> Request | None:
    """None where nothing was asked. The reader's limit is that of the head."""
    try:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            request = parse(head[:-4])
            size = length_of(request)
            body = await reader.readexactly(size) if size else b""
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise Bad(400, "the request breaks off") from None
    except asyncio.LimitOverrunError:
        raise Bad(431, f"the head of the request has more than {HEAD} bytes") from None
    except TimeoutError:
        raise Bad(408, "the request takes too long") from None
    return Request(request.method, request.path, request.query, request.headers, body)


def parse(head: bytes) -> Request:
    first, *lines = head.split(b"\r\n")
    line = LINE.fullmatch(first)
    if line is None:
        raise Bad(400, "this is no request of HTTP/1.1")
    headers = headers_of(lines)
    if "host" not in headers:
        raise Bad(400, "the request names no host")
    path, _, query = line[2].partition(b"?")
    return Request(line[1].decode(), path_of(path), query_of(query), headers)


def headers_of(lines: Sequence[bytes]) -> Mapping[str, str]:
    if len(lines) > MOST_HEADERS:
        raise Bad(431, f"the request has more than {MOST_HEADERS} headers")
    found: dict[str, str] = {}
    for line in lines:
        header = HEADER.fullmatch(line)
        if header is None:
            raise Bad(400, "a header cannot be read")
        name, value = header[1].decode().lower(), header[2].decode("latin-1").strip(" \t")
        if name in found and name in ALONE:
            raise Bad(400, f"the header {name} stands there twice")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def path_of(path: bytes) -> str:
    try:
        found = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise Bad(400, "the address is not UTF-8") from None
    if any(ord(each) < 32 for each in found):
        raise Bad(400, "the address holds a control character")
    return found


def query_of(query: bytes) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(query.decode("ascii"), max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise Bad(400, "the address cannot be read") from None


def length_of(request: Request) -> int:
    if "transfer-encoding" in request.headers:
        raise Bad(501, "a body comes with its length, and in one piece")
    if "expect" in request.headers:
        raise Bad(417, "nothing is expected here")
    given = request.headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,9}", given):
        raise Bad(400, "the length of the body is no number")
    if int(given) > BODY:
        raise Bad(413, f"the body has more than {BODY} bytes")
    return int(given)


def head_of(answer: Answer, *, is_stream: bool = False) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.kind}",
        "Connection: close",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    if not is_stream:
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def write(writer: asyncio.StreamWriter, data: bytes, patience: float = PATIENCE) -> None:
    """Whoever does not take it in time has gone."""
    writer.write(data)
    async with asyncio.timeout(patience):
        await writer.drain()
