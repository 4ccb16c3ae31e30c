"""How often something may be done, counted by this server alone."""

import time

from scheduler.domain.errors import TooMany

MOST_KNOWN = 10_000
MINUTE = 60


class Allowance:
    """At most so many in a minute of each name."""

    def __init__(self) -> None:
        self._minute = 0
        self._used: dict[str, int] = {}

    def require(self, name: str, most: int) -> None:
        if self._of_now().get(name, 0) >= most or len(self._used) > MOST_KNOWN:
            seconds = MINUTE - int(time.time()) % MINUTE
            raise TooMany(f"more than {most} calls in a minute", seconds=seconds)

    def use(self, name: str) -> None:
        used = self._of_now()
        used[name] = used.get(name, 0) + 1

    def _of_now(self) -> dict[str, int]:
        if (now := int(time.time()) // MINUTE) != self._minute:
            self._minute, self._used = now, {}
        return self._used
