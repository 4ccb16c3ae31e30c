"""When to try again, so that many workers whose server comes back do not come at one moment.

Time is cut into windows of 1, 2, 4, … 60 seconds. In each there is one try, at any moment of it. No
clock here.
"""

import random

LONGEST = 60.0


class Windows:
    def __init__(self, chance: random.Random | None = None) -> None:
        self.chance = chance or random.Random()
        self.number = 0
        self.end = float("-inf")  # of the window of the latest try

    def next(self, now: float) -> float:
        """How long to wait for the next try; the window after that is longer."""
        begin = max(now, self.end)
        length = min(2.0**self.number, LONGEST)
        self.number = min(self.number + 1, 6)
        self.end = begin + length
        moment: float = begin + self.chance.random() * length
        return moment - now

    def succeeded(self) -> None:
        self.number, self.end = 0, float("-inf")
