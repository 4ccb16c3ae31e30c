"""How much work to have in hand beyond what is running."""

PERIOD = 0.1  # seconds over which a rate is measured
AHEAD = 0.05  # seconds of work to have at hand
MOST = 400


class Pace:
    """Short work is fetched ahead, so that nobody waits for a round trip; long work is not, so
    that another worker may have it."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = 0
        self._rate = 0.0

    def finished(self, count: int, now: float) -> None:
        self._count += count
        self._measure(now)

    def ahead(self, now: float) -> int:
        self._measure(now)
        return min(MOST, int(self._rate * AHEAD))

    def _measure(self, now: float) -> None:
        took = now - self._since
        if took < PERIOD:
            return
        measured = self._count / took
        self._rate = measured if took > 5 * PERIOD else (self._rate + measured) / 2
        self._since, self._count = now, 0
