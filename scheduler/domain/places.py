"""Which workstation may carry a task out: one by name, any that has some labels, or just any.

A queue says it too, so that a workstation claims like everybody else: `ws:NAME`, `on:k=v,k=v` with
the labels in order, `on:*`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from scheduler.domain.errors import Invalid
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE

NAMED, LABELLED = "ws:", "on:"
ANYWHERE = "on:*"
RESERVED = (NAMED, LABELLED)  # no queue that people name begins like this
ANY = "any"
WORDS = frozenset({ANY, "all", "server"})  # mean something else where a name may stand

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
LABEL_RULE = (
    "labels of workstations and their values are 1 to 63 of letters, digits and . _ / -, "
    "and begin with a letter or digit"
)
MOST_LABELS = 8  # that one task asks for
# What is kept in a placement beside what was asked for: who took it, which attempts were lost, who
# refused it, and what the first of those attempts came to after all.
OF_ATTEMPTS = ("taken", "lost", "refused", "original")

Labels: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """This workstation and no other."""

    name: str

    @property
    def queue(self) -> str:
        return NAMED + self.name

    def document(self) -> dict[str, Any]:
        return {"workstation": self.name}

    def __str__(self) -> str:
        return f"the workstation {self.name}"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Any workstation that has all of these labels; with none of them, any at all."""

    labels: Labels = field(default_factory=dict)

    @property
    def queue(self) -> str:
        if not self.labels:
            return ANYWHERE
        return LABELLED + ",".join(f"{name}={self.labels[name]}" for name in sorted(self.labels))

    def document(self) -> dict[str, Any]:
        return {"labels": dict(self.labels)} if self.labels else {"any": True}

    def __str__(self) -> str:
        if not self.labels:
            return "any workstation"
        words = ", ".join(f"{name}: {self.labels[name]}" for name in sorted(self.labels))
        return f"a workstation with {words}"


Place: TypeAlias = Named | Labelled


@dataclass(frozen=True, slots=True)
class Station:
    """A workstation that tasks may go to."""

    name: str
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of workstations while a run's tasks are given their places."""

    stations: Sequence[Station] = ()
    taken: Mapping[str, str] = field(default_factory=dict)  # queue: who took of it in this run

    def those(self, place: Place) -> list[str]:
        """By their names, all that may do what is to be done at this place."""
        return sorted(each.name for each in self.stations if matches(place, each.name, each.labels))


def check_name(name: Any, where: str = "workstation") -> str:
    if not isinstance(name, str) or not TYPE_NAME.fullmatch(name):
        raise Invalid(f"{str(name)[:70]!r} is no workstation's name: {TYPE_NAME_RULE}", field=where)
    if name in WORDS:
        raise Invalid(f"{name!r} means something else: take another name", field=where)
    return name


def check_labels(labels: Mapping[str, Any], where: str = "labels") -> dict[str, str]:
    """Labels as a workstation has them and as a task asks for them."""
    for name, value in labels.items():
        for text in (name, value):
            if not isinstance(text, str) or not LABEL.fullmatch(text):
                raise Invalid(
                    f"{name[:70]}: {str(text)[:70]!r} cannot be: {LABEL_RULE}", field=where
                )
    return dict(labels)


def read(document: Mapping[str, Any]) -> Place:
    """From what is kept with a task, `placement.on`."""
    if "workstation" in document:
        return Named(document["workstation"])
    return Labelled(document.get("labels") or {})


def of_queue(queue: str) -> Place | None:
    """None for a queue that server's workers serve."""
    if queue.startswith(NAMED):
        return Named(queue.removeprefix(NAMED))
    if not queue.startswith(LABELLED):
        return None
    words = queue.removeprefix(LABELLED).split(",")
    return Labelled(dict(word.split("=", 1) for word in words if "=" in word))


def is_reserved(queue: str) -> bool:
    return queue.startswith(RESERVED)


def labels_of(given: Labels, told: Labels) -> dict[str, str]:
    """What people gave a workstation stands before what it says of itself."""
    return {**told, **given}


def missing(place: Place, name: str, labels: Labels) -> list[str]:
    """What of this place a workstation does not have; it may be there if that is nothing."""
    if isinstance(place, Named):
        return [] if place.name == name else [f"the name {place.name}"]
    wanted = sorted(place.labels.items())
    return [f"{key}: {value}" for key, value in wanted if labels.get(key) != value]


def matches(place: Place, name: str, labels: Labels) -> bool:
    return not missing(place, name, labels)


def queues_for(name: str, labels: Labels, ready: Iterable[str]) -> list[str]:
    """Those that the workstation may claim from, in the order in which they are given."""
    found = ((queue, of_queue(queue)) for queue in ready)
    return [queue for queue, place in found if place and matches(place, name, labels)]


def afresh(placement: Mapping[str, Any]) -> dict[str, Any]:
    """As it was before anything was begun there."""
    kept = {name: value for name, value in placement.items() if name not in OF_ATTEMPTS}
    return {**kept, "start_before": None}
