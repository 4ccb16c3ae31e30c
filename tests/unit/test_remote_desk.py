"""What the server decides when a worker speaks, and how much it offers."""

import asyncio
from collections.abc import Iterable
from uuid import uuid4

import pytest

from edge.remote.desk import MOST_LOG, Desk, Hand, HandedBack, Lost, Over, Printed
from edge.remote.links import Link
from edge.remote.messages import Command, Ended, Ending, Forget, Lease, Leave, Log, Progress, Verb
from edge.remote.recording import MOST_CHARACTERS, MOST_HELD, Recorder, Word, first, joined
from edge.remote.wishes import Wish, Wishes
from scheduler.services.catalog import Catalog
from scheduler.store.output import Chunk

BEAT = 5.0


def a_desk(*attempts: str) -> Desk:
    return Desk(BEAT, [Hand(each, uuid4(), 0.0) for each in attempts])


def an_end(attempt: str) -> Ended:
    return Ended(attempt, Ending.SUCCEEDED)


def test_an_end_that_is_said_again_before_it_is_committed_changes_nothing() -> None:
    desk = a_desk("1.1")
    assert len(desk.hear([an_end("1.1"), an_end("1.1")], 0.0).changes) == 1
    assert desk.hear([an_end("1.1")], 0.0).changes == []
    desk.closed("1.1")
    assert desk.hear([an_end("1.1")], 0.0).answers == [Forget("1.1")]


def test_no_more_is_in_hand_than_one_frame_can_name() -> None:
    link = Link(1, BEAT)
    link.slots = 1_000
    link.offered(Hand(f"{number}.1", uuid4(), 0.0) for number in range(1, 1_001))
    assert link.room == 0
    heard = link.desk.hear([an_end(f"{number}.1") for number in range(1, 601)], 0.0)
    assert len(heard.changes) == 600
    assert link.room == 0  # their ends may have to be said again
    for number in range(1, 601):
        link.desk.closed(f"{number}.1")
    assert link.room == 600


def test_who_gave_something_back_rests() -> None:
    link = Link(1, BEAT)
    link.slots = 2
    assert link.room == 2
    link.rest()
    assert link.room == 0


def test_output_counts_by_its_offset_and_ends_somewhere() -> None:
    desk = a_desk("1.1")
    said = [
        Log("1.1", 0, "aü"),
        Log("1.1", 0, "aü"),
        Log("1.1", 1, "üb"),
        Log("1.1", 10, "c"),
        Log("1.1", MOST_LOG - 1, "xyz"),
        Log("1.1", MOST_LOG + 7, "nothing of this"),
    ]
    changes = desk.hear(said, 0.0).changes
    assert [(each.offset, each.data) for each in changes if isinstance(each, Printed)] == [
        (0, "aü".encode()),
        (3, b"b"),
        (10, b"c"),
        (MOST_LOG - 1, b"x"),
    ]


def test_a_wish_is_told_and_told_again_with_each_lease_until_it_is_over() -> None:
    desk = a_desk("1.1")
    row = Hand("1.1", uuid4(), 0.0, wanted="freeze")
    assert [each.verb for each in commands(desk.compare([row], 1.0).answers)] == [Verb.HOLD]
    assert desk.compare([row], 2.0).answers == []
    assert commands(desk.hear([Lease(("1.1",))], 3.0).answers) != []
    row.wanted = "thaw"
    assert [each.verb for each in commands(desk.compare([row], 4.0).answers)] == [Verb.RESUME]
    desk.hear([an_end("1.1")], 5.0)
    assert commands(desk.hear([Lease(("1.1",))], 6.0).answers) == []


def commands(answers: Iterable[object]) -> list[Command]:
    return [each for each in answers if isinstance(each, Command)]


def test_what_is_to_be_over_is_waited_for_so_long_and_no_longer() -> None:
    kill, stop, endless = (
        Wish(1, 1, "kill", 30.0),
        Wish(2, 1, "stop", 30.0),
        Wish(3, 1, "stop", None),
    )
    wishes = Wishes(BEAT)
    assert wishes.overdue([kill, stop, endless], 0.0) == set()
    assert wishes.overdue([kill, stop, endless], 2 * BEAT) == set()
    assert wishes.overdue([kill, stop, endless], 2 * BEAT + 1) == {kill}
    assert wishes.overdue([stop, endless], 30.0 + 2 * BEAT + 1) == {stop}


def test_a_kill_has_its_own_time_and_so_has_another_attempt() -> None:
    wishes = Wishes(BEAT)
    wishes.overdue([Wish(1, 1, "stop", 30.0)], 0.0)
    assert wishes.overdue([Wish(1, 1, "kill", 30.0)], 45.0) == set()
    assert wishes.overdue([Wish(1, 2, "kill", 30.0)], 90.0) == set()


def test_who_leaves_has_lost_what_it_named_and_never_had_what_it_did_not() -> None:
    desk = a_desk("1.1", "2.1", "3.1")
    desk.hear([Lease(("1.1",)), Progress("2.1", 50)], 1.0)
    lost, told, never, _ = desk.hear([Leave()], 2.0).changes
    assert isinstance(lost, Lost)
    assert isinstance(told, Lost)
    assert isinstance(never, HandedBack)
    assert never.hand.attempt == "3.1"


def test_a_claim_that_is_on_its_way_is_no_stranger() -> None:
    desk = a_desk()
    row = Hand("1.1", uuid4(), 0.0)
    assert desk.compare([row], 1.0).changes == []
    desk.offered(row)
    assert desk.compare([row], 2.0).changes == []
    assert desk.hear([an_end("1.1")], 3.0).changes[0] == Over(row, an_end("1.1"))


def test_what_is_printed_by_the_letter_is_stored_in_one_piece() -> None:
    def chunk(task: int, start: int, data: bytes) -> Chunk:
        return Chunk(task_id=task, attempt=1, start=start, stream=1, data=data)

    said = [chunk(1, 0, b"a"), chunk(2, 5, b"x"), chunk(1, 1, b"b"), chunk(1, 9, b"c")]
    assert joined([*said, chunk(1, 10, b"d"), chunk(2, 6, b"y")]) == [
        chunk(1, 0, b"ab"),
        chunk(2, 5, b"xy"),
        chunk(1, 9, b"cd"),
    ]


def a_word(size: int) -> Word:
    return Word(1, "mate", lambda word: None, size=size)


def test_no_more_is_written_at_once_than_a_statement_has_room_for() -> None:
    half = MOST_CHARACTERS // 2
    assert len(first([a_word(half), a_word(half), a_word(half)])) == 2
    assert len(first([a_word(4 * half), a_word(1)])) == 1


@pytest.mark.anyio
async def test_who_says_much_is_not_listened_to_until_that_is_written() -> None:
    recorder = Recorder(Catalog(), lambda wake: None)
    recorder.submit(a_word(MOST_HELD))
    await recorder.has_room()
    recorder.submit(a_word(1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await recorder.has_room()
