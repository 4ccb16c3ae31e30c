"""How long runs usually take, and which take longer."""

from datetime import datetime

from scheduler.store.rows import Row

LATEST = 60  # runs of a type whose times say what is usual


def late(run: Row, usual: dict[str, float], now: datetime) -> bool:
    """Whether a run goes on for longer than those of its type do."""
    typical, since = usual.get(run["type"]), run["started_at"]
    if typical is None or since is None or run["finished_at"] is not None:
        return False
    return bool((now - since).total_seconds() > max(1.5 * typical, typical + 2))
