"""What people and programs ask of a workstation's own runs, and what they are told."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.agent.book import Job, Shut
from edge.agent.micro.alone import CannotAlone, Here
from edge.messages import Ended, Lane, Offer, Phase, Stock, Verb
from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound
from scheduler.domain.rehearsal import Given
from tests.support.edge_micro import Bench, a_type

ONE = "name: one\ntasks: [{name: cut, run: cut}]\n"
TWO = "name: two\ntasks: [{name: cut, run: cut}, {name: drill, run: drill}]\n"
ASKS = """
name: asks
tasks:
  - name: good
    approval:
      message: good?
      form: {type: object, properties: {flat: {type: boolean}}, required: [flat]}
"""
ALONE = {
    "{name: a, action: email.send}": "is an action, which a remote worker carries out",
    "{name: a, workflow: order}": "is a workflow, which a remote worker carries out",
    "{name: a, http: {url: 'https://x.example/'}}": "calls over HTTP",
    "{name: a, run: x, secrets: {TOKEN: a/b}}": "needs secrets",
    "{name: a, run: x, on: {workstation: press}}": "is to be carried out on the workstation press",
    "{name: a, process: other}": "the process type other is not on this workstation",
    "{name: a, approval: {message: ok, who: ['role:admin']}}": "asks role:admin, whom only",
    "{name: a, run: x, undo: {action: email.send}}": "is an action",
}


def refuses(program: str, why: str) -> Here:
    def object_to(task: str, command: Any) -> str | None:
        return why if command["argv"][0] == program else None

    return Here(name="saw", object_to=object_to)


@pytest.mark.parametrize("task", ALONE)
def test_what_cannot_be_done_alone_is_said_before_anything_begins(
    tmp_path: Path, task: str
) -> None:
    bench = Bench(tmp_path, a_type(f"name: t\ntasks: [{{name: first, run: f}}, {task}]\n"))
    with pytest.raises(CannotAlone, match=ALONE[task]):
        bench.start("t")
    assert bench.runner.starts == []
    assert bench.living() == []


def test_what_the_owner_does_not_allow_is_said_before_anything_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(TWO), here=refuses("drill", "it is loud"))
    with pytest.raises(CannotAlone, match="drill is refused by the policy"):
        bench.start("two")


def test_what_the_owner_does_not_allow_any_more_fails_when_its_turn_comes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(TWO))
    run = bench.start("two")
    bench.engine.here = refuses("drill", "it is loud")
    bench.play()
    assert bench.states(run) == {"cut": "COMPLETED", "drill": "FAILED"}
    assert "it is loud" in (bench.case(run).run.error or "")
    assert len(bench.runner.starts) == 1
    told = [json.loads(text) for each in bench.told() for text in getattr(each, "events", ())]
    [refused] = [each for each in told if each["kind"] == "task.refused"]
    assert (refused["attempt"], refused["data"]["workstation"]) == (1, bench.engine.here.name)
    assert "it is loud" in refused["data"]["why"]


def test_what_is_placed_here_is_simply_done_here(tmp_path: Path) -> None:
    text = "name: t\ntasks: [{name: a, run: x, on: {workstation: {labels: {line: '2'}}}}]\n"
    bench = Bench(tmp_path, a_type(text), here=Here(name="saw", labels={"line": "2"}))
    run = bench.start("t")
    bench.play()
    assert bench.states(run) == {"a": "COMPLETED"}


def test_work_that_had_to_begin_by_now_never_does(tmp_path: Path) -> None:
    late = "{name: b, run: b, needs: [], on: {workstation: saw, start_before: 10m}}"
    text = f"name: t\ntasks: [{{name: a, run: a, needs: []}}, {late}]\n"
    bench = Bench(tmp_path, a_type(text), slots=1)
    run = bench.start("t")
    assert len(bench.runner.starts) == 1
    bench.now += timedelta(minutes=11)
    bench.play()
    assert bench.states(run) == {"a": "COMPLETED", "b": "FAILED"}
    assert "expired" in (bench.case(run).run.error or "")
    assert len(bench.runner.starts) == 1


def test_asked_for_twice_with_one_key_it_is_one_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(ONE))
    first = bench.start("one", key="k")
    assert bench.start("one", key="k") == first
    assert len(bench.runner.starts) == 1


def test_a_wrong_start_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    schema = "input: {type: object, properties: {n: {type: integer}}, required: [n]}\n"
    bench = Bench(tmp_path, a_type(ONE + schema))
    with pytest.raises(Invalid, match="n"):
        bench.start("one", {})
    with pytest.raises(NotFound, match="not on this workstation"):
        bench.start("unknown")
    bench.book.put_shut(Shut(draining=True, why="a new blade"))
    with pytest.raises(Conflict, match="a new blade"):
        bench.start("one", {"n": 1})
    bench.book.commit()
    assert (bench.living(), bench.told()) == ([], [])


def test_a_held_run_begins_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(TWO))
    run = bench.start("two")
    bench.turn(lambda: bench.engine.command(run, Verb.HOLD, bench.now, by="anna"))
    bench.play()
    assert (bench.case(run).run.state, len(bench.runner.starts)) == ("HELD", 1)
    bench.turn(lambda: bench.engine.command(run, Verb.RESUME, bench.now, by="anna"))
    bench.play()
    assert bench.case(run).run.state == "COMPLETED"


def test_a_stopped_run_stops_its_command_and_begins_anew_when_it_is_reset(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(TWO))
    run = bench.start("two")
    bench.turn(lambda: bench.engine.command(run, Verb.STOP, bench.now, by="anna"))
    bench.play()
    assert bench.states(run) == {"cut": "STOPPED", "drill": "STOPPED"}
    with pytest.raises(Conflict, match="already STOPPED"):
        bench.engine.command(run, Verb.STOP, bench.now, by="anna")
    bench.ask(run, lambda board: board.retry("anna", whole=True))
    bench.play()
    assert bench.states(run) == {"cut": "COMPLETED", "drill": "COMPLETED"}
    assert len(bench.runner.starts) == 3


def test_a_question_is_answered_here_once_by_its_form(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(ASKS))
    run = bench.start("asks")
    [asked] = bench.engine.questions()
    answer: dict[str, Any] = {"approve": True, "by": "anna"}
    with pytest.raises(Invalid, match="flat"):
        bench.engine.answer(asked["id"], bench.now, **answer)
    bench.turn(lambda: bench.engine.answer(asked["id"], bench.now, data={"flat": True}, **answer))
    assert bench.case(run).run.state == "COMPLETED"
    with pytest.raises(Conflict, match="approved already"):
        bench.engine.answer(asked["id"], bench.now, data={"flat": True}, **answer)


def test_a_question_for_others_is_not_answered_here(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(ASKS))
    bench.start("asks")
    bench.engine.ledger.change("update micro_approvals set who = '[\"role:admin\"]'")
    [asked] = bench.engine.questions()
    assert asked["obstacle"] == "it is for role:admin"
    with pytest.raises(Forbidden, match="role:admin"):
        bench.engine.answer(asked["id"], bench.now, approve=True, by="anna")


def test_an_event_reaches_the_run_that_waits_for_it_once(tmp_path: Path) -> None:
    text = """
name: waits
tasks:
  - {name: a, wait_for: {event: scanned, key: "7", when: "${{ event.data.ok }}"}}
  - {name: b, wait_for: {event: scanned, key: "7"}}
"""
    bench = Bench(tmp_path, a_type(text))
    run = bench.start("waits")

    def scan(id: str, **data: Any) -> None:
        given: dict[str, Any] = {"key": "7", "data": data, "source": "scanner", "id": id}
        bench.turn(lambda: bench.engine.happen("scanned", bench.now, **given))

    scan("1", ok=False)
    assert bench.states(run) == {"a": "WAITING", "b": "PENDING"}
    scan("2", ok=True)
    scan("2", ok=True)
    assert bench.states(run) == {"a": "COMPLETED", "b": "WAITING"}
    scan("3")
    assert bench.states(run) == {"a": "COMPLETED", "b": "COMPLETED"}


def test_of_runs_of_one_group_one_goes_on_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(ONE + "concurrency: {key: one}\n"), slots=4)
    runs = [bench.start("one") for _ in range(3)]
    assert len(bench.runner.living()) == 1
    bench.play()
    assert [bench.case(run).run.state for run in runs] == ["COMPLETED"] * 3
    assert len(bench.runner.starts) == 3


def test_a_child_that_fails_fails_its_parent_and_is_stopped_with_it(tmp_path: Path) -> None:
    parent = "name: parent\ntasks: [{name: make, process: one}]\n"
    bench = Bench(tmp_path, a_type(parent), a_type(ONE), given={"cut": Given(fails=None)})
    run = bench.start("parent")
    bench.play()
    assert bench.states(run) == {"make": "FAILED"}
    other = bench.start("parent")
    bench.turn(lambda: bench.engine.command(other, Verb.STOP, bench.now, by="anna"))
    bench.play()
    [*_, child] = bench.engine.ledger.children(other, 0)
    assert bench.case(child).run.state == "STOPPED"
    assert bench.case(other).run.state == "STOPPED"


def test_what_is_over_and_told_is_forgotten_in_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(ONE))
    run = bench.start("one")
    bench.play()
    bench.now += timedelta(days=8)
    assert bench.engine.tidy(bench.now) == 0
    bench.book.put_have(Lane.RESULTS, bench.book.last(Lane.RESULTS))
    assert bench.engine.tidy(bench.now) == 1
    assert bench.engine.ledger.load(run) is None


UNFIT: dict[str, Any] = {
    "no types": {"types": 3, "type": "one"},
    "a type that is none": {"types": ["x"], "type": "one"},
    "a document that is none": {"types": [{"document": {}, "version": 1}], "type": "one"},
    "an input that is none": {"type": "one", "input": 7},
    "a time that is none": {"type": "one", "timeout": "soon"},
    "an unknown type": {"type": ["one"]},
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_process_ends_its_attempt_and_nothing_else(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, a_type(ONE))
    offer = Offer("7.1", {"process": UNFIT[name]})
    bench.book.put_job(Job(offer, Phase.STARTING))
    bench.turn(lambda: bench.engine.take(offer, bench.now))
    [ended] = [body for body in bench.told() if isinstance(body, Ended)]
    assert (ended.attempt, ended.ending, ended.retryable) == ("7.1", "FAILED", False)
    assert bench.living() == []


def test_what_is_unfit_of_a_stock_is_left_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a_type(ONE))
    well = {"id": 3, "key": "one/main", "type": "one", "spec": {"every": "1h"}}
    unfit = ("7", "{}", json.dumps({**well, "id": 4, "spec": {"every": "never"}}))
    stock = Stock("r", types=("[]", "{}"), schedules=(*unfit, json.dumps(well)))
    bench.turn(lambda: bench.engine.stocked(stock, bench.now))
    assert [each["type"] for each in bench.engine.coming()] == ["one"]


def test_labels_that_people_gave_count_after_a_start_too(tmp_path: Path) -> None:
    text = "name: t\ntasks: [{name: a, run: x, on: {workstation: {labels: {line: '2'}}}}]\n"
    bench = Bench(tmp_path, a_type(text))
    with pytest.raises(CannotAlone, match="line: 2"):
        bench.start("t")
    bench.turn(lambda: bench.engine.stocked(Stock("r", labels={"line": "2"}), bench.now))
    bench.die()
    assert bench.start("t")
