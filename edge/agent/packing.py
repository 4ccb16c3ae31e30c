"""What is said to a server, or to a workstation, as frames."""

from collections.abc import Iterable
from functools import partial

from edge import packing, reading, wire
from edge.messages import Message


def texts(session: int, messages: Iterable[Message]) -> list[str]:
    said = (reading.written(wire.plain(each)) for each in messages)
    return packing.frames(said, partial(frame, session))


def frame(session: int, part: list[str]) -> str:
    return f'{{"session":{session},"messages":[{",".join(part)}]}}'
