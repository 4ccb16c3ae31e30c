"""One identity, used twice: somebody copied a disk, or a key.

While a session lives, a greeting of another book, or one that has been said before, comes from
somebody else than whoever has the session. The newer book is believed and the older one fenced;
either way it becomes an event, for people and for rules of notifications.
"""

from edge.messages import Hello
from scheduler.domain.events import NewEvent
from scheduler.services.events import new_event_id
from scheduler.store.rows import Row

TYPE = "workstation.cloned"
BEATS = 3.0  # of silence, after which nobody is there any more


def event(row: Row, hello: Hello, *, clock: float, beat: float) -> NewEvent | None:
    """None for a greeting that one and the same agent may have sent."""
    if not lives(row, clock, BEATS * beat):
        return None
    if hello.lineage in row["retired"]:
        return cloned(row, hello, "a book that was replaced has tried to take its place")
    if hello.lineage != row["lineage"]:
        return cloned(row, hello, "another agent with the same key has taken its place")
    if hello.greeting <= row["greeting"]:
        return cloned(row, hello, "a copy of it has tried to take its place")
    return None


def lives(row: Row, clock: float, silence: float) -> bool:
    if not row["lineage"] or row["server"] is None or row["heard_at"] is None:
        return False
    return bool(clock - row["heard_at"].timestamp() < silence)


def cloned(row: Row, hello: Hello, why: str) -> NewEvent:
    machine = str(hello.facts.get("hostname", ""))[:200]
    return NewEvent(
        source=f"workstation:{row['name']}",
        id=new_event_id(),
        type=TYPE,
        key=row["name"],
        data={"workstation": row["name"], "why": why, "hostname": machine},
    )
