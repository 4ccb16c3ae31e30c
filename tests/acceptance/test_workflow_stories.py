"""The stories of examples/workflows in a real system; their program is killed in each."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import psycopg
import pytest

from procession import Client, Run
from tests.support.postgres import Databases
from tests.support.system import ROOT, System, a_system, ledger_of
from tests.support.waiting import patience

EXAMPLES = ROOT / "examples" / "workflows"


class Program:
    """examples/workflows/worker.py, started again when it is killed."""

    def __init__(self, system: System, token: str, **more: str) -> None:
        self.ledger = system.folder / "ledger.txt"
        self.log = system.folder / "workflows.log"
        self.environment = {
            **system.environment,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "sdk" / "python"), str(EXAMPLES)]),
            "PROCESSION_URL": system.url,
            "PROCESSION_TOKEN": token,
            "LEDGER": str(self.ledger),
            "ACCOUNTS_URL": system.environment["PROCESSION_DATABASE_URL"],
            **more,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(EXAMPLES / "worker.py")],
                env=self.environment,
                cwd=self.ledger.parent,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def killed(self) -> None:
        self.kill()
        self.start()

    def done(self, run: Run) -> Counter[str]:
        """What its steps noted, by name, each key counted once for each time."""
        return Counter(what for what, key in ledger_of(self.ledger) if key.startswith(run.id))

    def keys(self, run: Run) -> int:
        """So many steps did something; each of them has one key, however often it was tried."""
        return len({key for _, key in ledger_of(self.ledger) if key.startswith(run.id)})


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    # Who is killed is missed soon.
    lease = {
        "PROCESSION_LEASE__LENGTH": "6",
        "PROCESSION_LEASE__RENEW_EVERY": "1",
        "PROCESSION_SERVER__REMOTE__BEAT": "0.5",
        "PROCESSION_SERVER__REMOTE__LEASE": "3",
    }
    with a_system(databases, tmp_path_factory.mktemp("workflows"), **lease) as system:
        yield system


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with Client(system.url, system.token) as client:
        yield client


@pytest.fixture(scope="module")
def program(system: System, client: Client) -> Iterator[Program]:
    made = client.call("POST", "/api/v1/tokens", {"name": "workflows", "role": "worker"})
    program = Program(system, made["token"])
    program.start()
    try:
        seen(lambda: {each["name"] for each in client.list_types()} >= {"order", "machine"})
        yield program
    finally:
        program.kill()


def seen(condition: Callable[[], Any], within: float = 60) -> Any:
    """Wait until it holds."""
    end = time.monotonic() + patience(within)
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.05)
    return found


def calls(client: Client, run: Run | str) -> list[dict[str, Any]]:
    identity = run.id if isinstance(run, Run) else run
    found = client.call("GET", f"/api/v1/runs/{identity}/tasks", params={"limit": 200})
    return [each for each in found["items"] if each["role"] == "call"]


def kept(client: Client, run: Run, name: str) -> bool:
    return any(
        each["name"] == name and each["status"] == "COMPLETED" for each in calls(client, run)
    )


def test_an_order_waits_for_its_payment_while_its_program_is_dead(
    client: Client, program: Program
) -> None:
    """Started once for its key, paid once for another, and each step done once."""
    order = client.start("order", {"item": "bolt", "many": 2}, key="order-17")
    assert client.start("order", {"item": "bolt", "many": 2}, key="order-17").id == order.id
    seen(lambda: kept(client, order, "ask_for_payment"))
    program.kill()
    shown = client.get_values(order)["payment"]
    assert (shown["run"], shown["link"][:20]) == (order.id, "https://pay.example/")
    for by in ("anna", "somebody else"):
        client.send_message(order, "payment", {"by": by}, key="paid")
    program.start()
    assert client.output(order) == "S-R-bolt"
    assert client.list_values(order, "state") == ["paid by anna"]
    assert program.done(order) == {"reserve": 1, "ask_for_payment": 1, "ship": 1}


def test_workflows_send_each_other_messages(client: Client, program: Program) -> None:
    order = client.start("order", {"item": "nut"})
    paid = client.start("payment", {"order": order.id, "by": "a bank"})
    program.killed()
    assert client.output(paid) == client.get_values(order)["payment"]["link"]
    assert client.output(order) == "S-R-nut"
    assert client.get_values(order)["state"] == "paid by a bank"


def test_a_fork_goes_on_from_a_step_with_what_came_before(client: Client, program: Program) -> None:
    order = client.start("order", {"item": "screw", "patience": 0.01})
    assert client.output(order) == "not paid"
    known = calls(client, order)
    [asked] = [call["position"] for call in known if call["name"] == "recv-payment"]
    first = min(call["position"] for call in known)
    again = client.fork(order, asked - first + 1, input={"item": "screw", "patience": 60})
    client.send_message(again, "payment", {"by": "anna"})
    program.killed()
    assert client.output(again) == "S-R-screw"
    assert program.done(order) == {"reserve": 1, "ask_for_payment": 1, "release": 1}
    assert program.done(again) == {"ship": 1}


def test_a_queue_goes_on_where_it_was(client: Client, program: Program) -> None:
    runs = [
        client.start("mail", {"customer": f"c{at % 2}", "to": f"m{at}"}, priority=at % 10)
        for at in range(12)
    ]
    seen(lambda: any(program.done(run) for run in runs))
    program.killed()
    assert [client.output(run) for run in runs] == [f"sent to m{at}" for at in range(12)]


def test_a_schedule_s_tick_starts_one_run(client: Client, program: Program) -> None:
    [schedule] = [each for each in client.list_schedules() if each["type"] == "nightly"]
    program.kill()
    client.trigger_schedule(schedule["id"])
    program.start()
    [run] = seen(lambda: client.list_runs(type="nightly"))
    assert str(client.output(run)).startswith("report of ")
    assert program.done(run) == {"write_report": 1}


def test_changes_that_come_together_are_one_run(client: Client, program: Program) -> None:
    for at in range(3):
        client.send_event("document.changed", key="d-1", data={"at": at})
    program.killed()
    [run] = seen(lambda: client.list_runs(type="index"))
    assert client.output(run) == 3


def test_a_sleep_outlives_its_program(client: Client, program: Program) -> None:
    run = client.start("reminder", {"text": "taxes", "after": 2.0})
    seen(lambda: [each for each in calls(client, run) if each["kind"] == "sleep"])
    program.kill()
    seen(lambda: kept(client, run, "sleep"))
    program.start()
    client.output(run)
    assert program.done(run) == {"write_report": 1}


def test_a_campaign_has_a_run_for_each_site(client: Client, program: Program) -> None:
    sites = ["north", "south", "east-end"]
    run = client.start("campaign", {"sites": sites})
    seen(lambda: calls(client, run))
    program.killed()
    assert client.output(run) == {site: len(site) for site in sites}
    children = client.call("GET", f"/api/v1/runs/{run.id}/children")["items"]
    assert [child["type"] for child in children] == ["survey"] * 3


def test_a_machine_answers_its_operators(client: Client, program: Program) -> None:
    run = client.start("machine", {"parts": 40})
    client.send_message(run, "cmd", {"cmd": "HOLD", "reason": "lunch"})
    seen(lambda: client.get_values(run).get("state") == "HELD")
    program.killed()
    client.send_message(run, "cmd", {"cmd": "RESUME"})
    assert client.output(run) == {"state": "RUNNING", "made": 40}
    assert client.list_values(run, "state") == ["RUNNING", "HELD", "RUNNING"]


def test_a_machine_that_is_held_and_stopped_from_outside_shuts_down(
    client: Client, program: Program
) -> None:
    run = client.start("machine", {"parts": 90_000})
    seen(lambda: program.done(run)["produce"] > 3)
    client.hold(run)
    seen(lambda: client.status(run) == "HELD")
    made = program.keys(run)
    program.killed()
    assert client.status(run) == "HELD"
    client.resume(run)
    seen(lambda: program.keys(run) > made)
    client.hold(run)
    seen(lambda: client.status(run) == "HELD")
    client.stop(run)  # it is in nobody's hands
    assert client.wait(run).status == "STOPPED"
    assert program.done(run)["shut_down"] == 1


def test_what_leaves_an_account_comes_to_the_other_once(
    client: Client, system: System, program: Program
) -> None:
    """Their program dies in the middle of transactions, and before anybody heard of them."""
    with psycopg.connect(system.environment["PROCESSION_DATABASE_URL"], autocommit=True) as conn:
        conn.execute("create table accounts (name text primary key, cents int)")
        wish = {"source": "anna", "target": "ben", "cents": 5, "times": 20}
        runs = [client.start("transfer", wish) for _ in range(4)]
        for least in (20, 90):
            seen(partial(booked, conn, least))
            program.killed()
        for run in runs:
            client.output(run)
        accounts = conn.execute("select name, cents from accounts order by name").fetchall()
    assert accounts == [("anna", -400), ("ben", 400)]


def booked(conn: psycopg.Connection[Any], least: int) -> bool:
    [cents] = conn.execute("select coalesce(sum(abs(cents)), 0) from accounts").fetchone() or (0,)
    return bool(cents >= least * 5)


def have_done(program: Program, runs: Sequence[Run], many: int) -> bool:
    return sum(program.done(run).total() for run in runs) >= many


def test_whatever_dies_each_step_has_one_result(client: Client, program: Program) -> None:
    """Ten steps each, and their program is killed again and again."""
    runs = [client.start("machine", {"parts": 10}) for _ in range(20)]
    for share in (40, 140):
        seen(partial(have_done, program, runs, share))
        program.killed()
    for run in runs:
        assert client.output(run) == {"state": "RUNNING", "made": 10}
        steps = [each for each in calls(client, run) if each["kind"] == "step"]
        assert [each["output"] for each in steps] == list(range(1, 11))
        assert program.keys(run) == 10


def test_the_stories_are_tried_without_a_server() -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES)]
    tried = subprocess.run(argv, capture_output=True, text=True, timeout=patience(60), check=False)
    assert tried.returncode == 0, tried.stdout
