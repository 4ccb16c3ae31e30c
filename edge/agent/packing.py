"""Messages into frames that fit: of a large number as many as one frame may have."""

import json
from collections.abc import Iterable

from edge import wire
from edge.messages import Message

ROOM = wire.LARGEST - (4 << 10)


def texts(session: int, messages: Iterable[Message]) -> list[str]:
    """In their order. A message that is too large for any frame goes alone, and is refused."""
    found, part, size = list[str](), list[str](), 0
    for message in messages:
        text = json.dumps(
            wire.plain(message), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        length = len(text.encode()) + 1
        if part and (size + length > ROOM or len(part) >= wire.MOST):
            found.append(frame(session, part))
            part, size = [], 0
        part.append(text)
        size += length
    if part:
        found.append(frame(session, part))
    return found


def frame(session: int, part: list[str]) -> str:
    return f'{{"session":{session},"messages":[{",".join(part)}]}}'
