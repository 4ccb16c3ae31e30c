"""What a client that blocks and one that awaits have in common, but for the waiting."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from procession import connecting
from procession.api import problems
from procession.api.plans import Answer, Request
from procession.api.streams import Reader, Told

AGAIN = (0.2, 1.0, 3.0)  # seconds before a question is put again
STREAM = "text/event-stream"
QUIET = 75.0  # seconds; a stream says every few that it is one


class Asking:
    """One server, and how it is asked."""

    def __init__(self, url: str | None, token: str | Path | None) -> None:
        self.server = connecting.find(url, token)

    def options(self) -> dict[str, Any]:
        return {
            "base_url": self.server.url,
            "verify": self.server.context() or True,
            "trust_env": not self.server.is_here,
        }

    def headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.server.token()}",
            "User-Agent": "procession-sdk-python",
            **more,
        }

    def arguments(self, request: Request) -> dict[str, Any]:
        return {
            "method": request.method,
            "url": request.path,
            "params": dict(request.params),
            "headers": self.headers(request.headers),
            "content": request.content,
            "timeout": httpx.Timeout(30, connect=5, read=request.patience),
        }

    def unreachable(self, error: Exception) -> problems.Unreachable:
        reason = str(error) or type(error).__name__
        return problems.Unreachable(f"the server at {self.server.url} does not answer: {reason}")

    def pauses(self, request: Request) -> tuple[float, ...]:
        """What has a key, or changes nothing, may come twice."""
        may = request.method in ("GET", "PUT") or "Idempotency-Key" in request.headers
        return AGAIN if may else ()


def answer_of(found: httpx.Response) -> Answer:
    if found.is_error:
        raise problems.refusal(found.status_code, found.content)
    return Answer(found.status_code, found.headers, found.content)


def may_pass(error: Exception) -> bool:
    """Whether the same question may be answered a little later."""
    return isinstance(error, (problems.Unreachable, problems.Unavailable, httpx.HTTPError))


class Following:
    """A stream of events over as many connections as it takes: each goes on behind the last event
    that was received."""

    def __init__(self, asking: Asking, path: str) -> None:
        self.asking, self.path = asking, path
        self.reader = Reader()
        self.failures = 0
        self.is_over = False

    def arguments(self) -> dict[str, Any]:
        self.reader = Reader(self.reader.last)
        behind = {"Last-Event-ID": self.reader.last} if self.reader.last else {}
        return {
            "method": "GET",
            "url": self.path,
            "headers": self.asking.headers({"Accept": STREAM, **behind}),
            "timeout": httpx.Timeout(30, connect=5, read=QUIET),
        }

    def opened(self, found: httpx.Response) -> None:
        """Of an error the body has to be read by now."""
        if found.is_error:
            raise problems.refusal(found.status_code, found.content)
        self.is_over = found.status_code == 204

    def feed(self, piece: bytes) -> Iterator[Told]:
        for told in self.reader.feed(piece):
            self.failures = 0
            self.is_over = self.is_over or told.kind == "end"
            yield told

    def pause(self, error: Exception) -> float:
        """How long to wait after a failure. Raises it, if it stays."""
        if not may_pass(error):
            raise error
        if self.failures == len(AGAIN):
            if isinstance(error, httpx.HTTPError):
                raise self.asking.unreachable(error) from error
            raise error
        self.failures += 1
        return AGAIN[self.failures - 1]
