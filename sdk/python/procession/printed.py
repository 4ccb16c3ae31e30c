"""What attempts have printed lately. Logs are not acknowledged: after a cut they are said again,
and the server passes over what it has, by their offsets. Pure.
"""

from collections import deque

MOST_OF_ONE = 256 << 10  # characters
MOST = 16 << 20


class Printed:
    def __init__(self) -> None:
        self.texts: dict[str, deque[str]] = {}
        self.sizes: dict[str, int] = {}
        self.total = 0

    def keep(self, attempt: str, text: str) -> None:
        """Of what is too much the oldest is let go: it has been said, or nobody could be told."""
        self.texts.setdefault(attempt, deque()).append(text)
        self.add(attempt, len(text))
        while self.sizes[attempt] > MOST_OF_ONE or (self.total > MOST and self.texts[attempt]):
            self.add(attempt, -len(self.texts[attempt].popleft()))

    def add(self, attempt: str, size: int) -> None:
        self.sizes[attempt] = self.sizes.get(attempt, 0) + size
        self.total += size

    def forget(self, attempt: str) -> None:
        self.total -= self.sizes.pop(attempt, 0)
        self.texts.pop(attempt, None)

    def clear(self) -> None:
        self.texts.clear()
        self.sizes.clear()
        self.total = 0

    def again(self) -> list[str]:
        return [text for texts in self.texts.values() for text in texts]
