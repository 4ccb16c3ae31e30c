from scheduler.domain.floors import DISTANCE, FORGET_EVERY, MEMORY, SINK_EVERY, Floors
from scheduler.domain.ids import new_id
from scheduler.domain.tasks import RANKS, Claimed

EVERYWHERE = [0] * RANKS


def a_claim(rank: int, ready_seq: int) -> Claimed:
    return Claimed(
        id=1,
        run_id=new_id(),
        name="t",
        kind="noop",
        attempt=1,
        on_lost="retry",
        invocation={},
        queue="default",
        rank=rank,
        ready_seq=ready_seq,
    )


def test_a_new_worker_looks_at_everything() -> None:
    assert Floors(0.0).at(0.0) == EVERYWHERE


def test_a_floor_stays_below_what_was_taken_by_more_numbers_than_may_still_commit() -> None:
    floors = Floors(0.0)
    floors.took([a_claim(3, 5000), a_claim(3, 4000)])
    expected = list(EVERYWHERE)
    expected[3] = 5000 - DISTANCE
    assert floors.at(0.5) == expected


def test_every_second_one_look_goes_to_where_the_floor_was_ten_seconds_ago() -> None:
    floors, seen = Floors(0.0), []
    for second in range(1, MEMORY + 3):
        floors.took([a_claim(0, DISTANCE + 1000 * second)])
        seen.append(floors.at(second * SINK_EVERY)[0])
    assert seen[: MEMORY - 1] == [0] * (MEMORY - 1)
    assert seen[MEMORY - 1 :] == [1000, 2000, 3000]
    assert floors.at((MEMORY + 2) * SINK_EVERY)[0] == 1000 * (MEMORY + 2)


def test_every_minute_one_look_goes_to_the_ground() -> None:
    floors = Floors(0.0)
    floors.took([a_claim(0, 10 * DISTANCE)])
    assert floors.at(0.5) != EVERYWHERE
    assert floors.at(FORGET_EVERY) == EVERYWHERE
