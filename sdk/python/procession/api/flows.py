"""Runs of workflows: messages to them, what they show, forks."""

from collections.abc import Mapping
from typing import Any

from procession.api.plans import Json, Plan, Request, ask, at, get, pages, post, present, said
from procession.api.runs import Run, id_of, run_of

LONGEST_WAIT = 60


def send_message(
    run: Run | str, topic: str = "", body: Any = None, *, key: str | None = None
) -> Plan[Json]:
    """For the next `recv` of that topic. With a key it is there once, however often it is sent."""
    wish = {"topic": topic, "key": key, "body": body}
    found: Json = yield from ask(post(at("runs", id_of(run), "messages"), said(wish)))
    return found


def list_messages(
    run: Run | str, *, topic: str | None = None, most: int | None = None
) -> Plan[list[Json]]:
    return (yield from pages(at("runs", id_of(run), "messages"), most, topic=topic))


def get_values(run: Run | str) -> Plan[dict[str, Any]]:
    """What it shows under each key: the newest value."""
    found = yield from pages(at("runs", id_of(run), "values"), None)
    return {each["name"]: each["value"] for each in found}


def list_values(run: Run | str, key: str) -> Plan[list[Any]]:
    """All that it showed under a key, the oldest first."""
    found = yield from pages(at("runs", id_of(run), "values"), None, key=key)
    return [each["value"] for each in found]


def list_streams(run: Run | str) -> Plan[list[str]]:
    found = yield from ask(get(at("runs", id_of(run), "streams")))
    return list(found["items"])


def read_stream(
    run: Run | str, stream: str, *, after: int = 0, wait: float = 0
) -> Plan[list[Json]]:
    """Values behind the one with the number `after`, each with its `id`; waits so long for one."""
    request = Request(
        "GET",
        at("runs", id_of(run), "streams", stream),
        params=present({"after": after}),
        headers={"Prefer": f"wait={min(LONGEST_WAIT, round(wait))}"} if wait else {},
        patience=wait + 30.0,
    )
    found = yield from ask(request)
    return list(found["items"])


def list_workflows(run: Run | str) -> Plan[list[Json]]:
    """How far the workflows of a run are: calls, replays, version, and where the code differs."""
    found = yield from ask(get(at("runs", id_of(run), "workflows")))
    return list(found["items"])


def fork(
    run: Run | str,
    from_seq: int,
    *,
    input: Mapping[str, Any] | None = None,
    task: str | None = None,
    key: str | None = None,
) -> Plan[Run]:
    """Another run, which begins with what this one's workflow knew below the call `from_seq`."""
    wish = said({"from_seq": from_seq, "task": task, "input": dict(input) if input else None})
    return run_of((yield from ask(post(at("runs", id_of(run), "fork"), wish, key=key))))
