"""Frames between a workstation and a server, as text; read as `edge.reading` reads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from edge import messages, reading
from edge.messages import Body, Ended, Frame, Offer
from edge.reading import LARGEST as LARGEST
from edge.reading import MOST as MOST
from edge.reading import BadFrame as BadFrame
from edge.reading import load as load
from edge.reading import named as named
from edge.reading import record as record
from edge.reading import whole

NAMES: Mapping[type, str] = {
    each: named(each)
    for union in (messages.FromAgent, messages.FromServer, messages.Body)
    for each in get_args(union)
}
SPOKEN: Mapping[str, type] = {
    NAMES[each]: each
    for union in (messages.FromAgent, messages.FromServer)
    for each in get_args(union)
}


def encode(frame: Frame) -> str:
    told = [plain(each) for each in frame.messages]
    return reading.written({"session": frame.session, "messages": told})


def plain(value: Any) -> Any:
    return reading.plain(value, NAMES)


def decode(text: str | bytes) -> Frame:
    return Frame(*reading.frame_of(text, whole, SPOKEN))


# What is kept on disk is kept as it is said, and what is kept can be sent.

MOST_ITEM = LARGEST - (16 << 10)


def fitting(ended: Ended) -> Ended:
    """A result that no frame could carry still has an end that can be told. It would be said for
    ever, and keep all that comes after it."""
    size = len(kept(ended).encode())
    if size <= MOST_ITEM:
        return ended
    error = f"the task ended, but its result has {size} bytes, and {MOST_ITEM} can be sent"
    return replace(ended, ending="FAILED", error=error, retryable=False, output=None, detail={})


def kept(value: Body | Offer) -> str:
    return reading.written(plain(value))


def read_body(text: str) -> Body:
    return cast("Body", reading.one_of(get_args(messages.Body))(load(text), "body"))


def read_offer(text: str) -> Offer:
    return cast("Offer", record(Offer)(load(text), "offer"))
