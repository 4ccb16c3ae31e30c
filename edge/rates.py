"""How often somebody may speak."""

import time


class Rate:
    """So many frames a second, and some more at once after a rest."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.left, self.at = 4 * per_second, time.monotonic()

    def is_kept(self) -> bool:
        now = time.monotonic()
        self.left = min(4 * self.per_second, self.left + (now - self.at) * self.per_second)
        self.at = now
        self.left -= 1
        return self.left >= 0


class Rates:
    """Of those that come and go: who has rested is forgotten."""

    MOST = 10_000

    def __init__(self) -> None:
        self._of: dict[str, Rate] = {}

    def is_kept(self, name: str, per_second: float) -> bool:
        if name not in self._of and len(self._of) >= self.MOST:
            self._of.pop(next(iter(self._of)))
        return self._of.setdefault(name, Rate(per_second)).is_kept()
