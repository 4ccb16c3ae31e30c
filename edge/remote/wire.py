"""Frames between a remote worker and a server, as text; read as `edge.reading` reads."""

from collections.abc import Mapping
from typing import Any, get_args

from edge import reading
from edge.reading import BadFrame as BadFrame
from edge.reading import Shaped
from edge.remote import messages
from edge.remote.messages import Frame

NAMES: Mapping[type, str] = {
    each: reading.named(each)
    for union in (messages.FromWorker, messages.FromServer)
    for each in get_args(union)
}
# What each end hears: what is meant for the other is passed over, like all that is not known.
WORKERS: Mapping[str, type] = {NAMES[each]: each for each in get_args(messages.FromWorker)}
SERVERS: Mapping[str, type] = {NAMES[each]: each for each in get_args(messages.FromServer)}

is_session = Shaped(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "a UUID is due, in small letters",
)


def session(told: Any, where: str) -> str:
    found = reading.text(told, where)
    is_session(found, where)
    return found


def decode(text: str | bytes, spoken: Mapping[str, type] = WORKERS) -> Frame:
    return Frame(*reading.frame_of(text, session, spoken))


def encode(frame: Frame) -> str:
    return framed(frame.session, [said(each) for each in frame.messages])


def said(message: Any) -> str:
    """One message; what may be missing and is null is left out."""
    return reading.written(reading.plain(message, NAMES, sparse=True))


def framed(session: str, texts: list[str]) -> str:
    return f'{{"session":"{session}","messages":[{",".join(texts)}]}}'
