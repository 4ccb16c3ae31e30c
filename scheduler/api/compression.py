"""Answers that are text are compressed for those who take gzip.

BREACH reads a secret off the length of an answer that holds it beside a text of the attacker's. It
takes a victim whose browser adds credentials to requests that somebody else thought of. A bearer
token is never added by a browser. For a request with a cookie, only pages are compressed, and only
where the browser says that one of our own pages, or the person, asks for them; the token of their
forms is masked anew each time besides. An answer that shows a secret is never compressed. Streams
and parts of files pass as they are.
"""

import asyncio
import gzip
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler.api.bodies import CONFIDENTIAL
from scheduler.api.measures import OPERATION
from scheduler.api.once import SHOWN_ONCE

LEAST = 1024  # below this the gain is less than a packet
IN_THREAD = 256 * 1024
LEVEL = 5
DATA = frozenset(
    {
        "application/json",
        "application/problem+json",
        "application/yaml",
        "text/html",
        "text/plain",
    }
)
PAGES = frozenset({"text/html"})
OWN = frozenset({"same-origin", "none"})
ASSETS = frozenset({"text/css", "text/javascript", "image/svg+xml"})
UNSHOWN = CONFIDENTIAL | SHOWN_ONCE
REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")


class Compress:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, Compressing(scope, send).send)


class Compressing:
    """An answer on its way: its beginning waits until it is known whether it is whole."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._asked = Headers(scope=scope)
        self._send = send
        self._begun: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._is_text(message):
            self._begun = message
            return
        begun, self._begun = self._begun, None
        if begun is not None:
            headers = MutableHeaders(scope=begun)
            headers.add_vary_header("Accept-Encoding")
            if self._is_worth_it(message):
                message = {**message, "body": await compressed(message["body"])}
                mark(headers, len(message["body"]))
            await self._send(begun)
        await self._send(message)

    def _is_text(self, begun: Message) -> bool:
        headers = Headers(raw=begun["headers"])
        kind = headers.get("content-type", "").partition(";")[0]
        allowed = ASSETS | self._beside_assets()
        taken = "content-encoding" in headers or "content-range" in headers
        return kind in allowed and not taken

    def _beside_assets(self) -> frozenset[str]:
        if "cookie" not in self._asked:
            return DATA
        return PAGES if self._asked.get("sec-fetch-site") in OWN else frozenset()

    def _is_worth_it(self, message: Message) -> bool:
        whole = not message.get("more_body", False)
        secret = self._scope.get(OPERATION, {}).get("name") in UNSHOWN
        large = len(message.get("body", b"")) >= LEAST
        return whole and large and not secret and takes_gzip(self._asked)


def takes_gzip(headers: Headers) -> bool:
    ways = [each.strip().lower() for each in headers.get("accept-encoding", "").split(",")]
    return any(
        each.partition(";")[0].strip() == "gzip" and not REFUSED.search(each) for each in ways
    )


async def compressed(body: bytes) -> bytes:
    if len(body) < IN_THREAD:
        return gzip.compress(body, LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)


def mark(headers: MutableHeaders, length: int) -> None:
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(length)
    # A strong ETag names these very bytes; editions.py knows its own again.
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        headers["ETag"] = f'{etag[:-1]}-gzip"'
