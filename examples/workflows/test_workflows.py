"""Tried without a server: time jumps, messages come as the test says, programs die anywhere."""

from pathlib import Path

import pytest
from family import campaign, survey
from machine import machine
from moments import reminder
from shop import order

from procession.testing import Run, World, replay_everywhere
from procession.workflows import Stopped


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEDGER", str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def test_an_order_that_is_paid_is_shipped_wherever_its_program_dies() -> None:
    def paid(world: World, run: Run) -> None:
        world.after(1800, lambda: world.send(run, "payment", {"by": "anna"}))

    run = replay_everywhere(order, {"item": "bolt", "many": 3}, paid)
    assert run.result() == "S-R-bolt"
    assert run.shown["state"] == ["paid by anna"]


def test_an_order_that_nobody_pays_gives_back_what_it_reserved() -> None:
    run = replay_everywhere(order, {"item": "bolt"})
    assert run.result() == "not paid"
    assert run.steps == ["reserve", "ask_for_payment", "release"]


def test_an_order_that_is_stopped_gives_back_what_it_reserved() -> None:
    world = World()
    run = world.start(order, item="bolt")
    world.after(60, lambda: world.stop(run, "by hand"))
    world.go()
    assert run.steps[-1] == "release"
    with pytest.raises(Stopped, match="by hand"):
        run.result()


def test_a_reminder_comes_after_a_year_and_takes_no_time(ledger: Path) -> None:
    World().run(reminder, text="taxes", after=365 * 86_400)
    assert ledger.read_text().startswith("write_report")


def test_a_campaign_has_the_results_of_all_its_children() -> None:
    run = replay_everywhere(
        campaign, {"sites": ["b", "aa"]}, lambda world, run: world.serve(survey)
    )
    assert run.result() == {"aa": 2, "b": 1}


def test_a_machine_holds_until_it_is_told_to_go_on() -> None:
    world = World()
    run = world.start(machine, parts=3)
    world.send(run, "cmd", {"cmd": "HOLD", "reason": "lunch"})
    world.after(600, lambda: world.send(run, "cmd", {"cmd": "RESUME"}))
    world.go()
    assert run.result() == {"state": "RUNNING", "made": 3}
    assert run.shown["state"] == ["RUNNING", "HELD", "RUNNING"]
