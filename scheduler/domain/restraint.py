"""How much work that nobody waits for is done at once, and how long nothing is done after it."""

from dataclasses import dataclass, field

AIM = 0.004  # seconds of one piece: what somebody else may have to wait for
LEAST, MOST = 100, 5000  # rows of one piece
REST = 4.0  # times as long as a piece took nothing is done after it
LEAST_REST = 0.002


@dataclass(slots=True)
class Restraint:
    """Learns by what each piece took: where others want the machine as well, pieces take longer, so
    they get smaller and the rests between them stay as long."""

    size: int = field(default_factory=lambda: LEAST)

    def took(self, rows: int, seconds: float) -> float:
        """Seconds to rest after a piece of so many rows."""
        fitting = round(rows * AIM / max(seconds, 1e-6))
        # By half or double at most: one slow piece says little.
        self.size = min(max(fitting, self.size // 2, LEAST), 2 * self.size, MOST)
        return max(LEAST_REST, REST * seconds)
