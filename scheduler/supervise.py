"""Keeps command processes running."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """The pause before each restart: longer each time, short again after a good while alive."""

    shortest: float = 0.1
    longest: float = 10.0
    good_while: float = 30.0
    _next: float = 0.0

    def after(self, alive: float) -> float:
        if alive >= self.good_while or not self._next:
            self._next = self.shortest
        pause, self._next = self._next, min(self._next * 2, self.longest)
        return pause
