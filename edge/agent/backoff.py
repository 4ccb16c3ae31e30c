"""When to try again, so that a fleet whose server comes back does not come back at one moment.

Time is cut into windows, each twice as long as the one before, up to 64 times the first. In each
window there is one try, at any moment of it: not sooner for whoever failed faster. No clock here.
"""

import random

MOST = 6  # doublings
LONGEST = 600.0  # seconds that a server may ask the first window to last


class Windows:
    def __init__(self, chance: random.Random | None = None) -> None:
        self.chance = chance or random.Random()
        self.first = 1.0
        self.number = 0
        self.end = float("-inf")  # of the window of the latest try

    def next(self, now: float) -> float:
        """How long to wait for the next try; the window after that is longer."""
        begin = max(now, self.end)
        length = self.first * 2 ** min(self.number, MOST)
        self.number += 1
        self.end = begin + length
        moment: float = begin + self.chance.random() * length
        return moment - now

    def succeeded(self, first: float) -> None:
        """`first`: what the server wants the first window to be, by the size of its fleet."""
        self.resize(first)
        self.number, self.end = 0, float("-inf")

    def resize(self, first: float) -> None:
        """From the next window on."""
        self.first = min(max(1.0, first), LONGEST)
