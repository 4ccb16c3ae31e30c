"""How long requests take, counted in this process, and the text in which Prometheus reads it."""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OPERATION = "procession.operation"
NOWHERE = "none"  # an address that nothing answers to

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


@dataclass(slots=True)
class Durations:
    """A histogram: how many took at most so long, and how long all took together."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Requests:
    """Of this process, since it began."""

    def __init__(self) -> None:
        self.durations: dict[str, Durations] = defaultdict(Durations)
        self.answers: dict[tuple[str, str], int] = defaultdict(int)

    def add(self, operation: str, status: int, seconds: float) -> None:
        self.durations[operation].add(seconds)
        self.answers[operation, f"{status // 100}xx"] += 1


class Measure:
    """Times each request until its answer begins: a stream is not slow because it is long."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        named: dict[str, str] = {}
        scope[OPERATION] = named  # whoever answers says what it was

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                operation = named.get("name", NOWHERE)
                self.requests.add(operation, message["status"], time.perf_counter() - begun)
            await send(message)

        await self.app(scope, receive, send_measured)


def gauge(name: str, help: str, samples: Iterable[Sample]) -> Iterator[str]:
    return family(name, "gauge", help, ((name, *each) for each in samples))


def counter(name: str, help: str, samples: Iterable[Sample]) -> Iterator[str]:
    return family(name, "counter", help, ((name, *each) for each in samples))


def histogram(name: str, help: str, durations: Mapping[str, Durations]) -> Iterator[str]:
    return family(name, "histogram", help, buckets(name, durations))


def buckets(name: str, durations: Mapping[str, Durations]) -> Iterator[tuple[str, Labels, float]]:
    for operation, each in sorted(durations.items()):
        labels, count = {"operation": operation}, 0
        for bound, more in zip((*BOUNDS, "+Inf"), each.counts, strict=True):
            count += more
            yield f"{name}_bucket", {**labels, "le": str(bound)}, count
        yield f"{name}_sum", labels, each.total
        yield f"{name}_count", labels, count


def family(
    name: str, kind: str, help: str, samples: Iterable[tuple[str, Labels, float]]
) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"
    for full, labels, value in samples:
        told = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
        yield f"{full}{{{told}}} {value}" if told else f"{full} {value}"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
