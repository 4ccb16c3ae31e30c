"""Orders on a disk: what is written is there again, and what is over stays over."""

from pathlib import Path

import pytest

from edge.agent.peer_ledger import PeerLedger, first_of
from edge.agent.peering import Asked, Given, MemoryPeerBook, Order, Over, asked_at
from edge.agent.store import DiskBook, NoRoom
from edge.messages import Verb
from scheduler.domain.ids import new_id

ORDER = Order(str(new_id()), "press", {"piece": 7}, "anna", {"run": "1"}, 12.5)
OVER = Over(ORDER.run, "SUCCEEDED", 3.5, output={"weight": 2.5}, detail={"x": [1, None]})


def open_ledger(path: Path) -> PeerLedger:
    return PeerLedger(DiskBook(path / "book.db"))


def test_what_was_committed_is_there_again(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    asked = Asked(ORDER, "press", "L", True, 2, 1, Verb.HOLD, OVER)
    given = Given(ORDER, "saw", True, 3, Verb.STOP, OVER)
    ledger.put_asked(asked)
    ledger.put_given(given)
    ledger.commit()
    ledger.book.close()
    again = open_ledger(tmp_path)
    assert again.asked == {ORDER.run: asked}
    assert again.given == {ORDER.run: given}
    again.book.close()


def test_what_the_disk_did_not_take_never_was(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    [[pages]] = ledger.book.db.execute("pragma page_count")
    ledger.book.db.execute(f"pragma max_page_count = {pages}")
    ledger.put_given(Given(ORDER, "saw"))
    with pytest.raises(NoRoom):
        ledger.put_asked(Asked(Order(ORDER.run, "press", {"drawing": "x" * 100_000}), "press"))
    assert not ledger.given
    assert not ledger.asked
    ledger.book.close()


def test_a_disk_remembers_what_is_over_as_memory_does(tmp_path: Path) -> None:
    ledger, memory = open_ledger(tmp_path), MemoryPeerBook("L")
    runs = [str(new_id()) for _ in range(3)]
    for book in (ledger, memory):
        for run in runs:
            book.put_given(Given(Order(run, "press"), "saw"))
            book.drop_given(run)
        for before in (asked_at(runs[0]) - 1, 5.0, asked_at(runs[2]) + 0.001):
            assert [book.is_over(run) for run in runs] == [True] * 3
            book.forget_over(before)
        assert not any(book.is_over(run) for run in runs)
    assert ledger.horizon == memory.horizon
    ledger.commit()
    ledger.load()
    assert ledger.horizon == memory.horizon
    ledger.book.close()


def test_what_was_made_in_one_moment_sorts_before_the_next() -> None:
    for stamp in range(1_795_275_000_000, 1_795_275_002_000):
        made, after = stamp / 1000, stamp / 1000 + 0.001
        assert first_of(made) <= f"{stamp:012x}"[:8] + "-" + f"{stamp:012x}"[8:] < first_of(after)
