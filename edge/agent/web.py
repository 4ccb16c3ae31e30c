"""HTTP for tokens and polls: few requests, one at a time.

By the standard library in a thread, which costs an idle agent nothing: a client of the usual kind
holds 6 MiB and takes a tenth of a second to be loaded. Certificates are always checked; without TLS
a server is spoken to on this machine alone.
"""

import asyncio
import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from edge.agent.home import check_url, is_loopback

LARGEST = 4 << 20
TIMEOUT = 30.0
JSON = "application/json"


class Unanswered(Exception):
    """Nobody answered, or not as it should be: says why. `status` where there was an answer, and
    what to do about it if that said so."""

    def __init__(
        self, why: str, status: int | None = None, code: str = "", remedy: str = ""
    ) -> None:
        self.why, self.status, self.code, self.remedy = why, status, code, remedy
        super().__init__(why)

    @property
    def is_refusal(self) -> bool:
        """Of us, and not of this moment."""
        return self.status in (401, 403)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Unanswered("the answer is not JSON: is this a server of ours?") from None

    @property
    def clock(self) -> float | None:
        """The server's, to a second."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            return None


def context(authorities: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise Unanswered(f"{authorities}: {error.strerror or error}") from None


class Web:
    """One server. A connection is kept between requests and made anew when it has gone."""

    def __init__(self, server: str, authorities: str | None = None) -> None:
        self.parts = urlsplit(check_url(server))
        self.authorities = authorities
        self.tls: ssl.SSLContext | None = None
        self.kept: http.client.HTTPConnection | None = None
        self.turn = asyncio.Lock()

    @property
    def host(self) -> str:
        return self.parts.hostname or ""

    @property
    def is_secure(self) -> bool:
        return self.parts.scheme == "https"

    @property
    def port(self) -> int:
        return self.parts.port or (443 if self.is_secure else 80)

    def context(self) -> ssl.SSLContext | None:
        if self.is_secure and self.tls is None:
            self.tls = context(self.authorities)
        return self.tls

    async def ask(
        self, method: str, path: str, body: str | None = None, *, token: str | None = None
    ) -> Answer:
        """An answer without an error; what is asked may arrive twice."""
        headers = {"Accept": JSON, "User-Agent": "procession-edge"}
        if body is not None:
            headers["Content-Type"] = JSON
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.turn:
            answer = await asyncio.to_thread(self.exchange, method, path, body, headers)
        if answer.status >= 400:
            raise refused(answer)
        return answer

    async def tell(self, path: str, told: Any, *, token: str | None = None) -> Answer:
        return await self.ask("POST", path, json.dumps(told), token=token)

    def close(self) -> None:
        if self.kept is not None:
            self.kept.close()
            self.kept = None

    # In a thread.

    def exchange(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> Answer:
        data = None if body is None else body.encode()
        target = f"{self.parts.path}{path}"
        if self.kept is not None:
            try:
                return self.once(self.kept, method, target, data, headers)
            except (OSError, http.client.HTTPException):
                self.close()  # it had gone while nobody looked
        self.kept = self.connection()
        try:
            return self.once(self.kept, method, target, data, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unanswered(worded(error, self.host)) from None

    def once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        data: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        connection.request(method, target, data, dict(headers))
        with connection.getresponse() as answer:
            body = answer.read(LARGEST + 1)
            if len(body) > LARGEST:
                raise http.client.HTTPException(f"an answer of more than {LARGEST} bytes")
            if answer.length:
                raise http.client.HTTPException("the answer was cut off")
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, body)

    def connection(self) -> http.client.HTTPConnection:
        host, port = self.host, self.port
        proxy = None if is_loopback(host) else proxy_for(self.parts.scheme, host)
        at, to = (proxy or (host, port)), (host, port)
        made: http.client.HTTPConnection
        tls = self.context()
        if tls is None:
            made = http.client.HTTPConnection(*at, timeout=TIMEOUT)
        else:
            made = http.client.HTTPSConnection(*at, timeout=TIMEOUT, context=tls)
        if proxy is not None:
            made.set_tunnel(*to)
        return made


def proxy_for(scheme: str, host: str) -> tuple[str, int] | None:
    """As the environment says, in the usual variables."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    found = getproxies().get(scheme)
    if not found or proxy_bypass(host):
        return None
    parts = urlsplit(found if "//" in found else f"http://{found}")
    return (parts.hostname or "", parts.port or 3128)


def refused(answer: Answer) -> Unanswered:
    """By what the server's problem says, which is for people."""
    why, code, remedy = f"the server answers {answer.status}", "", ""
    try:
        told = json.loads(answer.body)
        why = str(told.get("detail") or told.get("title") or why)[:500]
        code = str(told.get("code") or told.get("type") or "")
        remedy = str(told.get("remedy") or "")[:500]
    except (ValueError, AttributeError):
        pass
    return Unanswered(why, answer.status, code, remedy)


def worded(error: Exception, host: str) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate of {host} is not trusted: {error.verify_message}"
        case socket.gaierror():
            return f"the name {host} is not known here"
        case TimeoutError():
            return f"{host} does not answer in time"
        case OSError(strerror=str(why)):
            return f"{host}: {why}"
    return f"{host}: {error or type(error).__name__}"
