"""Why a workstation has not begun a task, or is not heard of while it has one."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scheduler.domain import places
from scheduler.domain.places import Labelled, Named

Facts = Mapping[str, Any]

MOST_NAMED = 5
LIST = "`procession workstation list` shows those that there are"
MOMENT = "%Y-%m-%d %H:%M:%S %Z"


def ready(task: Facts, stations: Sequence[Facts], now: datetime) -> str:
    """Of a task that waits for a workstation."""
    last = task["placement"]["start_before"]
    if last and datetime.fromisoformat(last) <= now:
        return "it is too late to begin it, and it is about to be withdrawn"
    until = f"; it expires at {datetime.fromisoformat(last):{MOMENT}}" if last else ""
    return waits_for(task, stations) + until


def waits_for(task: Facts, stations: Sequence[Facts]) -> str:
    place = places.of_queue(task["queue"])
    refused = task["placement"].get("refused", {})
    if isinstance(place, Named):
        return of_one(place.name, stations, refused)
    return of_any(place or Labelled(), stations, refused)


def of_one(name: str, stations: Sequence[Facts], refused: Mapping[str, str]) -> str:
    found = next((each for each in stations if each["name"] == name), None)
    if found is None:
        return f"there is no workstation {name!r}: {LIST}"
    others = "; ".join(f"{other} refuses it: {why}" for other, why in refused.items())
    return f"{name} {state_of(found)}" + (f" ({others})" if others else "")


def of_any(place: Labelled, stations: Sequence[Facts], refused: Mapping[str, str]) -> str:
    accepted = [each for each in stations if each["state"] == "ACCEPTED"]
    fitting = [each for each in accepted if places.matches(place, each["name"], each["labels"])]
    if not fitting:
        return nobody(place, accepted)
    told = [
        f"{each['name']} "
        + (f"refuses it: {refused[each['name']]}" if each["name"] in refused else state_of(each))
        for each in sorted(fitting, key=nearness)
    ]
    more = len(told) - MOST_NAMED
    rest = [f"and {more} more"] if more > 0 else []
    return f"it waits for {place}: " + ", ".join([*told[:MOST_NAMED], *rest])


def nearness(station: Facts) -> tuple[bool, bool, str]:
    """Those that may take it soonest come first."""
    return station["is_away"], is_draining(station), station["name"]


def nobody(place: Labelled, stations: Sequence[Facts]) -> str:
    if not stations:
        return "no workstation is accepted: `procession workstation add` lets one in"
    for name, value in sorted(place.labels.items()):
        if not any(each["labels"].get(name) == value for each in stations):
            return f"no workstation has the label {name}: {value}"
    nearest = min(stations, key=lambda each: (len(lacks(place, each)), each["name"]))
    lacking = ", ".join(lacks(place, nearest))
    return f"there is not {place}: {nearest['name']} comes nearest and lacks {lacking}"


def lacks(place: Labelled, station: Facts) -> list[str]:
    return places.missing(place, station["name"], station["labels"])


def state_of(station: Facts) -> str:
    name = station["name"]
    if station["state"] == "PENDING":
        return f"is not accepted yet: `procession workstation accept {name}`"
    if station["state"] == "REVOKED":
        return "was revoked, and takes nothing any more"
    if station["is_away"]:
        return away(station)
    if is_draining(station):
        reason = station["drain_reason"] or station.get("unfit")
        return "is draining" + (f" ({reason})" if reason else "")
    if station["in_hand"] >= station["slots"]:
        return f"is full: it has {station['in_hand']} of {station['slots']} in hand"
    if station.get("busy"):
        return f"takes nothing for now: {station['busy']}"
    return "is there and has room: it is about to be offered to it"


def is_draining(station: Facts) -> bool:
    return bool(station["draining"] or station["told_drain"] or station.get("unfit"))


def away(station: Facts) -> str:
    heard = station["heard_at"]
    return f"is away since {heard:{MOMENT}}" if heard else "was never here"


def in_progress(task: Facts, stations: Sequence[Facts]) -> str | None:
    """Of a task that a workstation has; None where there is nothing to be said that is not said of
    every holder."""
    name = station_of(task)
    found = next((each for each in stations if each["name"] == name), None)
    if found is None:
        return None
    since = f"{name} has it since {task['started_at']:{MOMENT}}"
    if not found["is_away"] or found["heard_at"] is None:
        return since
    lost = found["heard_at"] + timedelta(seconds=task["placement"]["lost_after"])
    return f"{since}, and {away(found)}; it counts as lost from {lost:{MOMENT}} on"


def station_of(task: Facts) -> str | None:
    if taken := task["placement"].get("taken"):
        return str(taken)
    place = places.of_queue(task["queue"])
    return place.name if isinstance(place, Named) else None
