"""Messages into frames that fit: of a large number as many as one frame may have."""

from collections.abc import Callable, Iterable

from edge.reading import LARGEST, MOST

ROOM = LARGEST - (4 << 10)


def frames(messages: Iterable[str], frame: Callable[[list[str]], str]) -> list[str]:
    """In their order. A message that is too large for any frame goes alone, and is refused."""
    found, part, size = list[str](), list[str](), 0
    for text in messages:
        length = len(text.encode()) + 1
        if part and (size + length > ROOM or len(part) >= MOST):
            found.append(frame(part))
            part, size = [], 0
        part.append(text)
        size += length
    if part:
        found.append(frame(part))
    return found
