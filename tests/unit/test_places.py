import pytest

from scheduler.domain import places
from scheduler.domain.errors import Invalid
from scheduler.domain.places import Labelled, Named

LINE_2_PRESS = Labelled({"line": "2", "kind": "press"})


def test_a_place_is_the_same_queue_however_its_labels_are_written() -> None:
    assert LINE_2_PRESS.queue == "on:kind=press,line=2"
    assert Labelled({"kind": "press", "line": "2"}).queue == LINE_2_PRESS.queue
    assert Named("press-2").queue == "ws:press-2"
    assert Labelled().queue == "on:*"


@pytest.mark.parametrize("place", [Named("press-2"), LINE_2_PRESS, Labelled()])
def test_a_queue_and_a_document_tell_the_place_that_they_were_made_of(place: places.Place) -> None:
    assert places.of_queue(place.queue) == place
    assert places.read(place.document()) == place


def test_a_queue_of_the_servers_workers_is_no_place() -> None:
    assert places.of_queue("default") is None
    assert not places.is_reserved("default")
    assert places.is_reserved("ws:a")
    assert places.is_reserved("on:*")


def test_a_workstation_serves_its_own_queue_and_those_whose_labels_it_has_all() -> None:
    ready = ["on:line=2", "ws:saw", "on:kind=press,line=2", "on:line=3", "on:*", "default", "ws:p"]
    has = {"line": "2", "kind": "press", "more": "x"}
    assert places.queues_for("p", has, ready) == [
        "on:line=2",
        "on:kind=press,line=2",
        "on:*",
        "ws:p",
    ]
    assert places.queues_for("saw", {}, ready) == ["ws:saw", "on:*"]


def test_what_people_say_of_a_workstation_stands_before_what_it_says_of_itself() -> None:
    assert places.labels_of({"line": "2"}, {"line": "9", "os": "linux"}) == {
        "line": "2",
        "os": "linux",
    }


def test_what_a_workstation_lacks_is_named() -> None:
    assert places.missing(LINE_2_PRESS, "saw", {"line": "2"}) == ["kind: press"]
    assert places.missing(Named("press-2"), "saw", {}) == ["the name press-2"]
    assert places.missing(Labelled(), "saw", {}) == []


@pytest.mark.parametrize("value", ["", "a,b", "a=b", "*", " a", "a" * 64, "ä", 2])
def test_a_label_that_would_change_a_queues_name_is_refused(value: object) -> None:
    with pytest.raises(Invalid, match="letters, digits"):
        places.check_labels({"line": value})


@pytest.mark.parametrize("name", ["", "Press", "a/b", "a" * 64, None, 7])
def test_a_name_that_no_workstation_can_have_is_refused(name: object) -> None:
    with pytest.raises(Invalid, match="no workstation's name"):
        places.check_name(name)
