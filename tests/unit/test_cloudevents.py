"""CloudEvents as they come in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler.domain import cloudevents
from scheduler.domain.errors import Invalid

PLAIN = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.created"}


def test_a_structured_event_keeps_all_that_it_says() -> None:
    found = cloudevents.of_document(
        PLAIN
        | {
            "subject": "4711",
            "time": "2026-01-31T06:00:00Z",
            "datacontenttype": "application/json",
            "dataschema": "https://example.com/order",
            "traceparent": "00-aa-bb-01",
            "data": {"n": 1},
        }
    )
    assert (found.source, found.id, found.type, found.key) == (
        "/shop",
        "1",
        "order.created",
        "4711",
    )
    assert found.occurred_at == datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert found.data == {"n": 1}
    assert found.attributes == {
        "subject": "4711",
        "datacontenttype": "application/json",
        "dataschema": "https://example.com/order",
        "traceparent": "00-aa-bb-01",
    }


def test_bytes_stay_base64() -> None:
    assert cloudevents.of_document(PLAIN | {"data_base64": "AAE="}).data == {"base64": "AAE="}


def test_headers_and_body_are_an_event_too() -> None:
    headers = {f"ce-{name}": value for name, value in PLAIN.items()}
    headers |= {"ce-subject": "caf%C3%A9", "content-type": "text/plain"}
    found = cloudevents.of_headers(headers, b"hello", None, is_json=False)
    assert (found.key, found.data) == ("café", "hello")
    assert found.attributes == {"subject": "café", "datacontenttype": "text/plain"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "body.specversion"),
        ({"id": ""}, "body.id"),
        ({"source": 7}, "body.source"),
        ({"time": "yesterday"}, "body.time"),
        ({"time": "2026-01-31T06:00:00"}, "body.time"),
        ({"subject": []}, "body.subject"),
        ({"Trace-Parent": "x"}, "body.Trace-Parent"),
        ({"trace": {"a": 1}}, "body.trace"),
        ({"data": 1, "data_base64": "AA=="}, "body.data"),
        ({"data_base64": "?"}, "body.data_base64"),
        ({f"a{n}": "x" for n in range(51)}, "body"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        cloudevents.of_document(PLAIN | change)
    assert refused.value.field == field


def test_a_batch_names_the_one_that_is_wrong() -> None:
    with pytest.raises(Invalid) as refused:
        cloudevents.of_documents([PLAIN, PLAIN | {"id": None}])
    assert refused.value.field == "[1].id"
