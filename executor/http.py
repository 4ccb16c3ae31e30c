"""Calls over HTTP: in the worker's own process, so that they end with it. No database.

Nobody is called before their address was looked at, and only at that address: neither a name that
changes its mind nor a redirect leads anywhere else.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import certifi
import httpx

from executor import bodies, destinations, plain
from executor.base import Ending, Outcome
from executor.bodies import Unreadable
from executor.destinations import Forbidden, Network, Resolve, Unknown, system_resolve
from executor.http_invocation import HttpInvocation, Malformed, read_url
from executor.report import shown

CONNECT = 10.0  # seconds
EXCHANGE = 60.0  # for one answer, where the task has no timeout
MOST_REDIRECTS = 5
LONGEST_PAUSE = 86400.0
LONGEST_HEADER = 4096
USUAL = {"user-agent": "procession", "accept": "*/*", "accept-encoding": "gzip"}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# To another origin only what says nothing of anybody goes along.
FOR_STRANGERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
TOLD = (
    "content-type",
    "date",
    "etag",
    "last-modified",
    "link",
    "location",
    "retry-after",
    "x-request-id",
)

Carrier = httpx.AsyncHTTPTransport
Headers = Mapping[str, str]
Hide = Callable[[bytes], bytes]


class NotDone(Exception):
    """The call came to nothing; `ending` and whether trying again may help."""

    def __init__(self, why: str, *, retryable: bool, ending: Ending = Ending.FAILED):
        super().__init__(why)
        self.retryable = retryable
        self.ending = ending


@dataclass(frozen=True, slots=True)
class Policy:
    """What the worker's owner allows."""

    allow_private: Sequence[Network] = ()
    ca_file: str | None = None
    resolve: Resolve = system_resolve


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Headers
    body: bytes


def as_it_is(data: bytes) -> bytes:
    return data


async def call(invocation: HttpInvocation, policy: Policy, hide: Hide = as_it_is) -> Outcome:
    """Never raises but when cancelled: whatever becomes of the call is its outcome. `hide` sees
    all that comes from outside before anybody keeps it."""
    talk = Talk(invocation, policy)
    try:
        async with asyncio.timeout(invocation.timeout):
            answer = await talk.through()
    except TimeoutError:
        why = f"timed out after {invocation.timeout:g} s"
        return failed(talk, NotDone(why, retryable=True, ending=Ending.TIMED_OUT), hide)
    except NotDone as error:
        return failed(talk, error, hide)
    except Exception as error:  # the rim: anything becomes an outcome
        why = f"{type(error).__name__}: {error}"
        return failed(talk, NotDone(why, retryable=True), hide)
    return judged(talk, answer, hide)


class Talk:
    """One call with all that belongs to it: redirects, and asking again after 202."""

    def __init__(self, invocation: HttpInvocation, policy: Policy):
        self.given = invocation
        self.policy = policy
        self.allowed = policy.allow_private if invocation.allow_private else ()
        self.detail: dict[str, Any] = {"started_at": now().isoformat(), "requests": 0}

    async def through(self) -> Answer:
        async with self.carrier() as carrier:
            request = Request(
                self.given.method, self.given.url, self.given.headers, self.given.content
            )
            answer, at = await self.ask(carrier, request)
            if answer.status == HTTPStatus.ACCEPTED and self.given.poll is not None:
                return await self.poll(carrier, answer, at)
            return answer

    def carrier(self) -> Carrier:
        """Without cookies or proxies, and a connection for each request: one that was checked for
        a name must not serve another name at the same address."""
        return httpx.AsyncHTTPTransport(
            verify=tls(self.policy.ca_file, verify=self.given.verify),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def poll(self, carrier: Carrier, answer: Answer, at: httpx.URL) -> Answer:
        given = self.given.poll
        assert given is not None
        url = next_url(answer, at, given.url_from)
        end = time.monotonic() + given.until
        while True:
            pause = max(given.every, retry_after(answer) or 0.0)
            if time.monotonic() + pause > end:
                why = f"it was still not done after {given.until:g} s"
                raise NotDone(why, retryable=True, ending=Ending.TIMED_OUT)
            await asyncio.sleep(pause)
            answer, _ = await self.ask(carrier, Request("GET", url, self.headers_for(url), None))
            if answer.status != HTTPStatus.ACCEPTED and answer.status not in self.given.retry_on:
                return answer

    def headers_for(self, url: httpx.URL) -> Headers:
        """Without what describes the content that was sent."""
        headers = {n: v for n, v in self.given.headers.items() if not n.startswith("content-")}
        return headers if is_same_origin(url, self.given.url) else for_strangers(headers)

    async def ask(self, carrier: Carrier, request: "Request") -> tuple[Answer, httpx.URL]:
        """The answer, and who gave it in the end."""
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self.exchange(carrier, request)
            location = answer.headers.get("location")
            if not (self.given.follow_redirects and answer.status in REDIRECTS and location):
                return answer, request.url
            request = request.redirected(answer.status, location)
        raise NotDone(f"more than {MOST_REDIRECTS} redirects", retryable=False)

    async def exchange(self, carrier: Carrier, request: "Request") -> Answer:
        whom = f"{request.method} {origin(request.url)}"
        try:
            async with asyncio.timeout(EXCHANGE if self.given.timeout is None else None):
                addresses = await self.find(request.url)
                return await self.send(carrier, request, addresses)
        except TimeoutError as error:
            why = f"{whom}: no answer within {EXCHANGE:g} s"
            raise NotDone(why, retryable=True, ending=Ending.TIMED_OUT) from error
        except (Forbidden, Unreadable) as error:
            raise NotDone(f"{whom}: {error}", retryable=False) from error
        except Unknown as error:
            raise NotDone(f"{whom}: {error}", retryable=True) from error
        except (httpx.HTTPError, ssl.SSLError) as error:
            why = str(error) or type(error).__name__
            raise NotDone(f"{whom}: {why}", retryable=True) from error

    async def find(self, url: httpx.URL) -> list[str]:
        port = port_of(url)
        return await destinations.find(name_of(url), port, self.allowed, self.policy.resolve)

    async def send(self, carrier: Carrier, request: "Request", addresses: Sequence[str]) -> Answer:
        """To the first address that takes the connection."""
        *others, last = addresses
        for address in others:
            try:
                return await self.send_to(carrier, request, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self.send_to(carrier, request, last)

    async def send_to(self, carrier: Carrier, request: "Request", address: str) -> Answer:
        """The name stays where it is looked at: in Host, and in what the certificate must say."""
        self.detail["requests"] += 1
        self.detail["address"] = address
        host = request.url.netloc.decode("ascii")
        message = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers={**USUAL, **request.headers, "host": host},
            content=request.content,
            extensions={"sni_hostname": name_of(request.url), "timeout": {"connect": CONNECT}},
        )
        async with AsyncExitStack() as opened:
            response = await carrier.handle_async_request(message)
            opened.push_async_callback(response.aclose)
            response.request = message
            body = await bodies.read(response, self.given.max_response)
            return Answer(response.status_code, as_mapping(response.headers), body)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: httpx.URL
    headers: Headers = field(repr=False)
    content: bytes | None = field(repr=False)

    def redirected(self, status: int, location: str) -> "Request":
        url = followed(location, self.url)
        is_same = is_same_origin(url, self.url)
        headers = self.headers if is_same else for_strangers(self.headers)
        if status == 303 or (status in (301, 302) and self.method == "POST"):
            method = "HEAD" if self.method == "HEAD" else "GET"
            kept = {n: v for n, v in headers.items() if not n.startswith("content-")}
            return Request(method, url, kept, None)
        if self.content is not None and not is_same:
            raise NotDone(
                f"{origin(self.url)} redirects to {origin(url)}, which would be sent the content "
                "as well: call it directly",
                retryable=False,
            )
        return Request(self.method, url, headers, self.content)


def followed(location: str, base: httpx.URL) -> httpx.URL:
    try:
        url = read_url(location, base)
    except Malformed as error:
        why = f"{origin(base)} leads to an address that can't be called: {error}"
        raise NotDone(why, retryable=False) from error
    if base.scheme == "https" and url.scheme != "https":
        raise NotDone(f"{origin(base)} leads to an address without TLS", retryable=False)
    return url


def next_url(answer: Answer, at: httpx.URL, url_from: str) -> httpx.URL:
    """Where to ask how far it is: in the header Location, or at a path in the answer."""
    found: Any = answer.headers.get("location")
    if url_from != "location":
        found = bodies.value_of(answer.body, answer.headers.get("content-type", ""))
        for name in url_from.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str):
        raise NotDone(f"the answer 202 has no address at {url_from}", retryable=False)
    return followed(found, at)


def judged(talk: Talk, answer: Answer, hide: Hide) -> Outcome:
    given = talk.given
    detail = finished(talk)
    detail["status"] = answer.status
    output = plain.write(output_of(answer, hide))
    if given.expects(answer.status):
        return Outcome(ending=Ending.SUCCEEDED, output=output, detail=detail)
    return Outcome(
        ending=Ending.FAILED,
        error=hidden(
            f"{given.method} {origin(given.url)} answered {in_words(answer.status)}", hide
        ),
        retryable=answer.status in given.retry_on,
        output=output,
        detail=detail,
        retry_after=retry_after(answer),
    )


def failed(talk: Talk, error: NotDone, hide: Hide) -> Outcome:
    return Outcome(
        ending=error.ending,
        error=hidden(shown(plain.visible(str(error)), 1000), hide),
        retryable=error.retryable,
        detail=finished(talk),
    )


def finished(talk: Talk) -> dict[str, Any]:
    return {**talk.detail, "ended_at": now().isoformat()}


def output_of(answer: Answer, hide: Hide) -> dict[str, Any]:
    headers = {
        name: shown(hidden(plain.visible(answer.headers[name]), hide), LONGEST_HEADER)
        for name in TOLD
        if name in answer.headers
    }
    body = bodies.value_of(hide(answer.body), answer.headers.get("content-type", ""))
    return {"status": answer.status, "headers": headers, "body": body}


def hidden(text: str, hide: Hide) -> str:
    return hide(text.encode()).decode(errors="replace")


def in_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def retry_after(answer: Answer) -> float | None:
    """Seconds that the server wants to be left alone for."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) < 10:
        return min(float(text), LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(0.0, (until - now()).total_seconds()), LONGEST_PAUSE)


def now() -> datetime:
    return datetime.now(UTC)


def origin(url: httpx.URL) -> str:
    """All that is said of an address: what comes after may be secret."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def name_of(url: httpx.URL) -> str:
    """The host as it is looked up, and as its certificate must call it."""
    return url.raw_host.decode("ascii").strip("[]")


def port_of(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def is_same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    def parts(url: httpx.URL) -> tuple[str, bytes, int]:
        return url.scheme, url.raw_host, port_of(url)

    return parts(one) == parts(other)


def for_strangers(headers: Headers) -> Headers:
    return {name: value for name, value in headers.items() if name in FOR_STRANGERS}


def as_mapping(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@lru_cache(maxsize=4)
def tls(ca_file: str | None, *, verify: bool) -> ssl.SSLContext:
    """Made once: it reads all authorities."""
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
