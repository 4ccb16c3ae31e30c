"""`Prefer: wait=N` (RFC 7240): how long somebody would rather wait than look again."""

import re

from scheduler.api.limits import LIMITS

LONGEST = 60  # unless the server is set otherwise
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)


def seconds(prefer: str | None) -> int:
    """What a `Prefer: wait=N` asks for; preferences that are not known are passed over."""
    found = WAIT.search(prefer or "")
    return min(int(found[1]), LIMITS.get().wait_limit) if found else 0
