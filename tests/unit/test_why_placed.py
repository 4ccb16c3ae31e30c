from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.domain.places import Labelled, Named, Place
from scheduler.domain.why_placed import in_progress, ready

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINE_2 = Labelled({"line": "2"})


def station(name: str, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    usual = {
        "name": name,
        "state": "ACCEPTED",
        "labels": {"line": "2"} if labels is None else labels,
        "heard_at": NOW,
        "is_away": False,
        "draining": False,
        "told_drain": False,
        "drain_reason": None,
        "slots": 2,
        "in_hand": 0,
    }
    return usual | more


def gone(name: str, hours: int = 3) -> dict[str, Any]:
    return station(name, is_away=True, heard_at=NOW - timedelta(hours=hours))


def task(place: Place, **more: Any) -> dict[str, Any]:
    own = {"on": place.document(), "start_before": None, "lost_after": 86400.0} | more
    return {"queue": place.queue, "placement": own, "started_at": NOW - timedelta(hours=4)}


def why(place: Place, *stations: dict[str, Any], **more: Any) -> str:
    return ready(task(place, **more), stations, NOW)


def test_a_name_that_nobody_has() -> None:
    assert why(Named("p9"), station("p1")) == (
        "there is no workstation 'p9': `procession workstation list` shows those that there are"
    )


def test_one_that_is_away_since_when() -> None:
    assert why(Named("p1"), gone("p1")) == "p1 is away since 2026-03-01 09:00:00 UTC"
    assert why(Named("p1"), station("p1", is_away=True, heard_at=None)) == "p1 was never here"


def test_one_that_takes_nothing_now() -> None:
    assert why(Named("p1"), station("p1", draining=True, drain_reason="new blade")) == (
        "p1 is draining (new blade)"
    )
    assert why(Named("p1"), station("p1", told_drain=True)) == "p1 is draining"
    assert why(Named("p1"), station("p1", in_hand=2)) == "p1 is full: it has 2 of 2 in hand"
    assert why(Named("p1"), station("p1", busy="there is no room on its disk")) == (
        "p1 takes nothing for now: there is no room on its disk"
    )


def test_one_that_is_not_accepted_or_not_any_more() -> None:
    assert why(Named("p1"), station("p1", state="PENDING")) == (
        "p1 is not accepted yet: `procession workstation accept p1`"
    )
    assert "was revoked" in why(Named("p1"), station("p1", state="REVOKED"))


def test_the_label_that_matches_nothing() -> None:
    place = Labelled({"kind": "press", "line": "7"})
    assert why(place, station("p1", {"kind": "press", "line": "2"})) == (
        "no workstation has the label line: 7"
    )


def test_labels_that_nobody_has_together() -> None:
    place = Labelled({"kind": "press", "line": "2"})
    saw, press = station("saw", {"line": "2"}), station("press", {"kind": "press", "line": "1"})
    assert why(place, saw, press) == (
        "there is not a workstation with kind: press, line: 2: "
        "press comes nearest and lacks line: 2"
    )


def test_one_that_is_not_accepted_has_no_labels_that_count() -> None:
    assert why(LINE_2, station("p1", state="PENDING"), station("saw", {})) == (
        "no workstation has the label line: 2"
    )
    assert "no workstation is accepted" in why(Labelled())


def test_each_of_those_that_might_says_what_keeps_it_the_nearest_first() -> None:
    stations = (
        gone("p1"),
        station("p2", draining=True),
        station("p3", in_hand=2),
        station("saw", {}),
    )
    assert why(LINE_2, *stations) == (
        "it waits for a workstation with line: 2: p3 is full: it has 2 of 2 in hand, "
        "p2 is draining, p1 is away since 2026-03-01 09:00:00 UTC"
    )


def test_of_many_the_first_are_told() -> None:
    said = why(Labelled(), *[gone(f"p{n}") for n in range(9)])
    assert said.endswith(", p4 is away since 2026-03-01 09:00:00 UTC, and 4 more")


def test_who_refuses_it_and_why() -> None:
    refused = {"p1": "no shells here"}
    pinned = task(LINE_2, refused=refused) | {"queue": "ws:p2"}
    assert ready(pinned, [station("p1"), gone("p2")], NOW) == (
        "p2 is away since 2026-03-01 09:00:00 UTC (p1 refuses it: no shells here)"
    )
    assert "p1 refuses it: no shells here" in why(LINE_2, station("p1"), refused=refused)


def test_until_when_it_may_begin() -> None:
    last = "2026-03-01T12:10:00.000+00:00"
    assert why(Named("p1"), gone("p1"), start_before=last).endswith(
        "; it expires at 2026-03-01 12:10:00 UTC"
    )
    assert "too late" in why(Named("p1"), station("p1"), start_before="2026-03-01T12:00:00+00:00")


def test_who_has_it_and_since_when_nothing_is_heard_of_it() -> None:
    assert in_progress(task(Named("p1")), [station("p1")]) == (
        "p1 has it since 2026-03-01 08:00:00 UTC"
    )
    assert in_progress(task(LINE_2, taken="p1"), [gone("p1")]) == (
        "p1 has it since 2026-03-01 08:00:00 UTC, and is away since 2026-03-01 09:00:00 UTC; "
        "it counts as lost from 2026-03-02 09:00:00 UTC on"
    )


def test_of_a_workstation_that_was_removed_nothing_is_known() -> None:
    assert in_progress(task(Named("p1")), []) is None
