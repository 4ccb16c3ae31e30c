"""Smaller parts: addresses and tokens, windows, handlers, contexts, streams, questions."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest

from procession import Context, Failure, Misconfigured, Worker, connecting
from procession.api import calls, chains, definitions, plans, problems, runs
from procession.api.plans import Answer, Plan, Request
from procession.api.streams import Printed, Reader
from procession.context import Cancelled
from procession.handling import served
from procession.messages import Log, Offer, Progress
from procession.windows import Windows

TOKEN = "pn_worker_0123456789"
OFFER = Offer("7.1", "pack", {}, "r", "t", "shop", 1, "k", timeout=60)
RUN = {"id": "1", "type": "t", "version": 1, "status": "IN_PROGRESS", "input": {}, "error": None}


# Addresses and tokens


def test_what_is_given_counts_more_than_the_environment() -> None:
    around = {"PROCESSION_URL": "http://elsewhere:1", "PROCESSION_TOKEN": TOKEN}
    assert connecting.find("https://here/", None, around).url == "https://here"
    assert connecting.find(None, None, around).url == "http://elsewhere:1"
    assert connecting.find(None, "mine", around).token() == "mine"
    assert connecting.find(None, None, around).token() == TOKEN


def test_a_token_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    for server in (
        connecting.find(None, file, {}),
        connecting.find(None, f"file:{file}", {}),
        connecting.find(None, None, {"PROCESSION_TOKEN_FILE": str(file)}),
    ):
        file.write_text("first\n")
        assert server.token() == "first"
        file.write_text("second\n")
        assert server.token() == "second"


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host", "http://", "http://user:pn_secret@host", "http://h?t=1"]
)
def test_an_address_that_is_none_is_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        connecting.find(url, TOKEN, {})
    assert "pn_secret" not in str(refused.value)


def test_without_a_token_it_is_said_where_one_goes(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="PROCESSION_TOKEN"):
        connecting.find(None, None, {}).token()
    with pytest.raises(Misconfigured, match="none"):
        connecting.find(None, tmp_path / "none", {}).token()


def test_certificates_are_checked_and_others_may_be_trusted_besides(tmp_path: Path) -> None:
    assert connecting.find("http://here", TOKEN, {}).context() is None
    context = connecting.find("https://here", TOKEN, {}).context()
    assert context is not None
    assert context.check_hostname
    for content in (None, "no certificate"):
        file = tmp_path / "authorities.pem"
        if content is not None:
            file.write_text(content)
        with pytest.raises(Misconfigured, match=r"authorities\.pem"):
            connecting.find("https://here", TOKEN, {"PROCESSION_CA": str(file)}).context()


def test_a_token_is_in_nothing_that_is_printed() -> None:
    server = connecting.find(None, TOKEN, {})
    assert TOKEN not in repr(server)
    assert TOKEN not in str(server)


# Windows


def test_tries_are_put_off_longer_and_longer_and_never_beyond_two_minutes() -> None:
    windows = Windows(random.Random(1))
    now, waits = 0.0, []
    for _ in range(12):
        waits.append(windows.next(now))
        now += waits[-1]
    assert waits[0] <= 1
    assert max(waits) <= 120
    assert sum(waits) > 120
    windows.succeeded()
    assert windows.next(now) <= 1


# Handlers


def with_default(payload: Any, factor: int = 2) -> Any:
    return payload * factor


def with_context(payload: Any, context: Context | None = None) -> Any:
    return payload, context


async def waits(payload: Any) -> Any:
    return payload


@pytest.mark.parametrize(
    ("handler", "takes_context"),
    [
        (lambda payload: payload, False),
        (lambda payload, context: payload, True),
        (with_default, False),
        (with_context, True),
        (str, False),
        (len, False),
    ],
)
def test_a_handler_is_given_a_context_if_it_asks_for_one(handler: Any, takes_context: bool) -> None:
    assert served(handler).takes_context is takes_context


def test_a_handler_that_cannot_be_called_with_a_payload_is_refused() -> None:
    unfit: list[Any] = [lambda: 1, lambda a, b, c: 1]
    for handler in unfit:
        with pytest.raises(TypeError, match="lambda"):
            served(handler)


def test_async_handlers_are_known_by_what_they_are() -> None:
    class Called:
        async def __call__(self, payload: Any) -> Any:
            return payload

    assert served(waits).is_async
    assert served(Called()).is_async
    assert not served(len).is_async


@pytest.mark.parametrize(
    "wrong", [{"slots": 0}, {"slots": 1_001}, {"name": "ü"}, {"name": "x" * 101}, {"name": "\n"}]
)
def test_a_worker_that_no_server_would_take_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        Worker(**wrong)


def test_an_action_has_one_handler_and_a_name_that_servers_know() -> None:
    worker = Worker().register("pack", len)
    with pytest.raises(Misconfigured, match="already"):
        worker.register("pack", len)
    with pytest.raises(Misconfigured, match="action"):
        worker.register("Pack it", len)


def test_a_worker_that_serves_nothing_says_so_instead_of_starting() -> None:
    with pytest.raises(Misconfigured, match="register"):
        Worker(token=TOKEN).start()


# Contexts


def a_context() -> tuple[Context, list[Context]]:
    flushed: list[Context] = []
    return Context(OFFER, "one", flushed.append), flushed


def test_what_is_printed_is_told_in_pieces_with_offsets_in_bytes() -> None:
    context, flushed = a_context()
    context.print("für", 1)
    context.log("x" * 100_000)
    assert len(flushed) == 1
    first, second = context.take()
    assert isinstance(first, Log)
    assert isinstance(second, Log)
    assert first.offset == 0
    assert second.offset == len(first.text.encode())
    assert first.text.startswith("für 1\nx")
    context.log("more")
    assert len(flushed) == 2


def test_only_the_newest_progress_is_told() -> None:
    context, _ = a_context()
    context.progress(10, "begun")
    context.progress(20.5, data={"left": 3})
    assert context.take() == [Progress("7.1", 20.5, None, {"left": 3})]
    assert context.take() == []
    with pytest.raises(ValueError, match="percent"):
        context.progress(101)
    with pytest.raises(ValueError, match="data"):
        context.progress(data={"when": object()})


def test_what_is_printed_faster_than_it_is_sent_is_left_out_and_says_so() -> None:
    context, _ = a_context()
    for _ in range(200):
        context.log("x" * 60_000)
    said = context.take()
    text = "".join(each.text for each in said if isinstance(each, Log))
    assert len(text) < 5 << 20
    assert text.endswith("could be sent …\n")


def test_a_checkpoint_raises_once_it_is_to_stop() -> None:
    context, _ = a_context()
    context.checkpoint()
    context.cancel("so")
    with pytest.raises(Cancelled, match="so"):
        context.checkpoint()
    assert 0 < (context.remaining or 0) <= 60
    assert (context.run, context.task, context.number, context.key) == ("r", "t", 1, "k")


def test_a_failure_is_an_exception_like_any_other() -> None:
    assert str(Failure("no")) == "no"


# Streams


def test_events_are_read_from_whatever_pieces_they_come_in() -> None:
    text = ": hello\n\nid: 1\nevent: out\ndata: {}\n\ndata: für\r\ndata: dich\r\n\r\nid: 3\n\n"
    for size in (1, 2, 3, 7, 1_000):
        reader, raw = Reader(), text.encode()
        pieces = [raw[begin : begin + size] for begin in range(0, len(raw), size)]
        found = [(each.kind, each.data, each.id) for piece in pieces for each in reader.feed(piece)]
        assert found == [("out", "{}", "1"), ("message", "für\ndich", "1")]
        assert reader.last == "3"


def test_characters_that_are_cut_by_a_chunk_are_put_together_again() -> None:
    reader, printed = Reader(), Printed()
    chunks = ["ü".encode()[:1], "ü".encode()[1:] + b"!"]
    text = "".join(
        f"event: out\ndata: {json.dumps({'data': base64.b64encode(each).decode()})}\n\n"
        for each in chunks
    )
    gap = 'event: gap\ndata: {"missing": 5}\n\n'
    found = [printed.read(each) for each in reader.feed((text + gap).encode())]
    assert "".join(found).startswith("ü!")
    assert "5 bytes" in found[-1]


# Questions


def asked(plan: Plan[Any], *answers: Any) -> tuple[list[Request], Any]:
    """What it asks when it is answered so, and what it comes to."""
    requests = [next(plan)]
    for each in answers:
        try:
            requests.append(plan.send(Answer(200, {}, json.dumps(each).encode())))
        except StopIteration as over:
            return requests, over.value
    return requests, None


def test_a_start_has_a_key_so_it_may_be_asked_twice() -> None:
    [request], run = asked(runs.start("t", {"a": 1}), RUN)
    assert request.headers["Idempotency-Key"]
    assert json.loads(request.content or b"") == {"type": "t", "input": {"a": 1}}
    assert (run.id, run.is_over) == ("1", False)
    [request], _ = asked(runs.start("t", key="mine"), RUN)
    assert request.headers["Idempotency-Key"] == "mine"


def test_lists_are_read_over_as_many_pages_as_it_takes() -> None:
    pages = [{"items": [{"n": 1}], "next": "c"}, {"items": [{"n": 2}], "next": None}]
    requests, found = asked(plans.pages("/x", None, q="a", w=None), *pages)
    assert found == [{"n": 1}, {"n": 2}]
    assert [dict(each.params) for each in requests] == [
        {"q": "a", "limit": 200},
        {"q": "a", "limit": 200, "cursor": "c"},
    ]
    requests, found = asked(plans.pages("/x", 1), pages[0])
    assert len(requests) == len(found) == 1


def test_a_wait_goes_on_until_the_run_is_over() -> None:
    over = {**RUN, "status": "COMPLETED", "output": 5}
    requests, run = asked(runs.wait("1"), RUN, RUN, over)
    assert [each.headers for each in requests] == [{"Prefer": "wait=60"}] * 3
    assert run.output == 5
    with pytest.raises(TimeoutError, match="IN_PROGRESS"):
        asked(runs.wait("1", 0), RUN)


def test_an_output_of_a_run_that_failed_is_an_error() -> None:
    failed = {**RUN, "status": "FAILED", "error": "no paper"}
    with pytest.raises(problems.RunFailed, match="no paper"):
        asked(runs.output("1"), failed)


def test_texts_are_published_as_yaml_and_dicts_as_json() -> None:
    for definition, kind in (("name: a", "application/yaml"), ({"name": "a"}, "application/json")):
        [request], _ = asked(definitions.define(definition), {"items": []})
        assert request.headers["Content-Type"] == kind
        assert b"name" in (request.content or b"")


def test_names_are_parts_of_paths_whatever_is_in_them() -> None:
    [request], _ = asked(runs.get_run("../tokens?x=1"), RUN)
    assert request.path == "/api/v1/runs/..%2Ftokens%3Fx%3D1"
    [request], _ = asked(chains.trigger_workflow("a/b", {"x": 1}), "r")
    assert request.path == "/workflow/a%2Fb/trigger"
    assert json.loads(request.content or b"") == {"input": '{"x": 1}'}


def test_any_operation_can_be_asked() -> None:
    [request], _ = asked(calls.call("get", "/api/v1/audit", limit=3), {})
    assert (request.method, dict(request.params)) == ("GET", {"limit": 3})
    [request], _ = asked(calls.call("put", "/api/v1/variables/x", {"value": 1}), {})
    assert json.loads(request.content or b"") == {"value": 1}


def test_a_refusal_names_field_faults_and_remedy() -> None:
    problem = {
        "detail": "no such type",
        "field": "type",
        "remedy": "publish it first",
        "faults": [{"field": "tasks[0]", "message": "needs a kind"}],
    }
    error = problems.refusal(422, json.dumps(problem).encode())
    assert isinstance(error, problems.Invalid)
    assert (error.status, error.field, error.remedy) == (422, "type", "publish it first")
    for part in ("type", "no such type", "publish it first", "tasks[0]: needs a kind"):
        assert part in str(error)
    assert isinstance(problems.refusal(404, b"<html>"), problems.NotFound)
    assert isinstance(problems.refusal(418, b"[]"), problems.Refused)
