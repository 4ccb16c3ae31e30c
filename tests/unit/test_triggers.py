"""Triggers as they are written, and what they decide, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.domain.errors import InvalidDefinition
from scheduler.domain.process_types import parse
from scheduler.domain.trigger_reading import read_trigger, write_trigger
from scheduler.domain.triggers import (
    LARGEST_GATHERED,
    Drop,
    Fate,
    Memories,
    Start,
    Verdict,
    Wait,
    Wanted,
    decide,
    input_of,
    keys_of,
    matches,
)

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "type", "expected"),
    [
        ("order.*", "order.created", True),
        ("order.*", "order.item.added", False),
        ("order.**", "order.item.added", True),
        ("order.*", "orders.created", False),
        ("*.created", "order.created", True),
        ("**.created", "shop.order.created", True),
        ("**", "anything:at/all", True),
        ("order.created", "order.created", True),
        ("order.created", "orderxcreated", False),
        ("a*c", "abc", True),
    ],
)
def test_patterns_stand_for_parts_of_a_type(pattern: str, type: str, expected: bool) -> None:
    assert matches(pattern, type) is expected


FULL: dict[str, Any] = {
    "name": "rush",
    "description": "Rush orders.",
    "event": ["order.*", "parcel.lost"],
    "when": "${{ event.data.rush }}",
    "input": {"ids": "${{ events.map(e, e.id) }}"},
    "priority": 8,
    "dedup": {"key": "${{ event.key }}", "window": "1h"},
    "debounce": {"quiet": "30s", "max_wait": "5m", "input": "gathered"},
}


def test_what_is_written_is_what_was_read() -> None:
    spec = read_trigger(FULL)
    assert read_trigger(write_trigger(spec)) == spec
    assert write_trigger(spec) == FULL


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "'event' is missing"),
        ({"event": "order created"}, "names no events"),
        ({"event": []}, "1 to 20 types"),
        ({"event": "a", "wehn": "x"}, "did you mean 'when'?"),
        ({"event": "a", "when": "event.data"}, "write ${{"),
        ({"event": "a", "when": "${{ input.x }}"}, "there is no 'input' to speak of here"),
        ({"event": "a", "input": {"x": "${{ events }}"}}, "there is no 'events'"),
        ({"event": "a", "input": []}, "a map is expected"),
        ({"event": "a", "dedup": {"key": "x"}}, "'window' is missing"),
        ({"event": "a", "debounce": {"quiet": "5m", "max_wait": "1m"}}, "shorter than 'quiet'"),
        ({"event": "a", "batch": {"max": 0, "wait": "1m"}}, "1 to 1000"),
        ({"event": "a", "throttle": {"max": 1, "per": "60d"}}, "at most 31d"),
        (
            {"event": "a", "batch": {"max": 2, "wait": "1m"}, "throttle": {"max": 1, "per": "1m"}},
            "exclude each other",
        ),
    ],
)
def test_every_mistake_is_told_with_its_place(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        read_trigger(document)
    assert complaint in str(refused.value)


def test_a_definition_with_a_wrong_trigger_is_refused_with_its_line() -> None:
    text = "name: a\ntasks: [{name: it, noop: true}]\ntriggers:\n  - event: x\n    wehn: y\n"
    with pytest.raises(InvalidDefinition, match=r"<text>:5:\d+: triggers\[0\].wehn"):
        parse(text)


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "source": "s", "type": "a", "key": "k", "data": {}, **more}


def deciding(document: dict[str, Any], *moments: float, size: int = 0) -> list[Verdict]:
    """What is decided about events of one key, which came so many seconds after the first."""
    spec, memories = read_trigger({"event": "a", **document}), Memories()
    return [
        decide(
            spec,
            Wanted(
                event=number,
                at=NOW + timedelta(seconds=seconds),
                input={},
                size=size,
                keys=keys_of(spec, event(number)),
            ),
            memories,
            NOW + timedelta(seconds=seconds),
        )
        for number, seconds in enumerate(moments)
    ]


def test_the_window_of_a_key_begins_with_the_first_and_is_not_drawn_out() -> None:
    verdicts = deciding({"dedup": {"key": "x", "window": "10s"}}, 0, 6, 9.9, 10, 19)
    assert [isinstance(each, Start) for each in verdicts] == [True, False, False, True, False]


def test_no_stretch_of_time_has_more_starts_than_it_may() -> None:
    verdicts = deciding({"throttle": {"max": 2, "per": "10s"}}, 0, 8, 9, 10, 11, 18)
    assert [isinstance(each, Start) for each in verdicts] == [True, True, False, True, False, True]


def test_turns_are_given_out_in_order_and_never_closer_than_allowed() -> None:
    rule = {"throttle": {"max": 2, "per": "10s", "rest": "queue"}}
    verdicts = deciding(rule, 0, 0, 0, 0, 0)
    dues = [(each.on.due_at - NOW).total_seconds() for each in verdicts if isinstance(each, Wait)]
    assert dues == [10, 10, 20]


def test_a_queue_that_is_full_takes_no_more() -> None:
    rule = {"throttle": {"max": 1, "per": "10s", "rest": "queue", "most": 2}}
    last = deciding(rule, 0, 0, 0, 0)[-1]
    assert isinstance(last, Drop)
    assert last.fate is Fate.THROTTLED


def test_a_quiet_time_is_counted_from_the_last_but_ends_with_the_longest_wait() -> None:
    rule = {"debounce": {"quiet": "10s", "max_wait": "15s"}}
    verdicts = deciding(rule, 0, 4, 8)
    assert isinstance(verdicts[-1], Wait)
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert verdicts[-1].on.due_at == NOW + timedelta(seconds=15)


def test_a_batch_that_is_full_starts_at_once_and_the_next_event_opens_another() -> None:
    verdicts = deciding({"batch": {"max": 2, "wait": "1m"}}, 0, 1, 2)
    first, last = verdicts[0], verdicts[2]
    assert isinstance(first, Wait)
    assert isinstance(last, Wait)
    assert first.on.due_at == NOW + timedelta(seconds=1)
    assert last.on is not first.on


def test_gathering_ends_before_it_takes_too_much_memory() -> None:
    rule = {"debounce": {"quiet": "1h", "input": "gathered"}}
    verdicts = deciding(rule, 0, 1, 2, size=LARGEST_GATHERED // 2)
    assert isinstance(verdicts[1], Wait)
    assert verdicts[1].on.kind == "queue"
    assert isinstance(verdicts[2], Wait)
    assert verdicts[2].on is not verdicts[1].on


def test_without_a_mapping_the_data_of_the_event_is_the_input() -> None:
    spec = read_trigger({"event": "a"})
    assert input_of(spec, [event(1, data={"n": 1})]) == {"n": 1}
    assert input_of(spec, [event(1, data="text")]) == {}
    batch = read_trigger({"event": "a", "batch": {"max": 2, "wait": "1m"}})
    assert input_of(batch, [event(1), event(2)]) == {"events": [event(1), event(2)]}
