"""Following what an attempt prints: its streams, the gaps in it, and its end."""

import json
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import click

from scheduler.cli_base import quoted
from scheduler.client import Client, Refused

PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Told:
    """One event of an attempt's output: `out`, `err`, `gap` or `end`."""

    kind: str
    body: dict[str, Any]


def of_attempt(
    client: Client, run: str, task: str, attempt: int, *, follow: bool, at: int = 0
) -> Iterator[Told]:
    """From `at` to its `end`. A connection that is lost is taken up where it broke."""
    while True:
        try:
            for told in events(client, run, task, attempt, at, follow=follow):
                at = behind(told, at)
                yield told
                if told.kind == "end":
                    return
        except Refused as refused:
            if not (follow and refused.may_pass):
                raise
            click.echo(f"{refused}; trying again", err=True)
        time.sleep(PAUSE)


def events(
    client: Client, run: str, task: str, attempt: int, at: int, *, follow: bool
) -> Iterator[Told]:
    path = f"/runs/{run}/tasks/{quoted(task)}/attempts/{attempt}/output/events"
    with client.stream(path, offset=at, follow=str(follow).lower()) as answer:
        kind = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield Told(kind, json.loads(value))


def behind(told: Told, at: int) -> int:
    match told.kind:
        case "out" | "err":
            return int(told.body["offset"]) + len(b64decode(told.body["data"]))
        case "gap":
            return int(told.body["offset"]) + int(told.body["missing"])
    return at


def write(told: Told, out: IO[bytes], err: IO[bytes]) -> None:
    """The bytes as they are; where some are missing, a line on standard error says so."""
    match told.kind:
        case "out" | "err":
            file = out if told.kind == "out" else err
            file.write(b64decode(told.body["data"]))
            file.flush()
        case "gap":
            sys.stderr.buffer.write(gap_line(told))
            sys.stderr.flush()


def gap_line(told: Told) -> bytes:
    missing = told.body["missing"]
    return f"\n[{missing} bytes are missing here: more was printed than is kept]\n".encode()
