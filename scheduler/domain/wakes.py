"""What a commit tells those who listen: ids travel, never data."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

CHANNEL = "procession"
MOST_IDS = 50  # a payload of 8,000 bytes fails the transaction that sends it
MOST_QUEUES = 20
ANY = "*"


@dataclass(slots=True)
class Wake:
    """`runs` changed; `queues` have READY tasks; `due`: a time or a limit is to be looked at
    again; `wanted`: somebody wants something of a task in hand; what is known of `people` is
    looked at again, each as `session:7`, `user:7`, `token:7` or `workstation:7`."""

    runs: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    due: bool = False
    wanted: bool = False
    people: set[str] = field(default_factory=set)

    def add(
        self,
        *,
        runs: Iterable[UUID] = (),
        queues: Iterable[str] = (),
        due: bool = False,
        wanted: bool = False,
    ) -> None:
        self.runs.update(run.hex for run in runs)
        self.queues.update(queues)
        self.due |= due
        self.wanted |= wanted

    def merge(self, other: "Wake") -> None:
        self.runs |= other.runs
        self.queues |= other.queues
        self.due |= other.due
        self.wanted |= other.wanted
        self.people |= other.people

    def __bool__(self) -> bool:
        return bool(self.runs or self.queues or self.due or self.wanted or self.people)

    @property
    def is_of_work(self) -> bool:
        return bool(self.runs or self.queues or self.due or self.wanted)

    def concerns(self, run: UUID) -> bool:
        return ANY in self.runs or run.hex in self.runs

    def serves(self, queues: Iterable[str]) -> bool:
        return ANY in self.queues or not self.queues.isdisjoint(queues)

    def encode(self) -> str:
        message = {
            "r": few(self.runs, MOST_IDS),
            "q": few(self.queues, MOST_QUEUES),
            "d": int(self.due),
            "w": int(self.wanted),
        }
        if self.people:
            message["p"] = few(self.people, MOST_QUEUES)
        return json.dumps(message, separators=(",", ":"))


def few(values: set[str], most: int) -> list[str]:
    return [ANY] if len(values) > most else sorted(values)


def decode(payload: str) -> Wake:
    """A payload that is not ours wakes everybody: a look too many does no harm."""
    try:
        message = json.loads(payload)
        return Wake(
            set(message["r"]),
            set(message["q"]),
            bool(message["d"]),
            bool(message["w"]),
            set(message.get("p", ())),
        )
    except (ValueError, KeyError, TypeError):
        return everything()


def everything() -> Wake:
    """Whatever may have been said: look at all of it."""
    return Wake({ANY}, {ANY}, due=True, wanted=True, people={ANY})
