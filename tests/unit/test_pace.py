from scheduler.domain.pace import AHEAD, MOST, PERIOD, Pace


def paced(rate: float, seconds: float) -> tuple[Pace, float]:
    """A pace after so many seconds of steady work."""
    pace, now = Pace(0.0), 0.0
    while now < seconds:
        now += PERIOD
        pace.finished(round(rate * PERIOD), now)
    return pace, now


def test_nothing_is_fetched_ahead_before_anything_was_finished() -> None:
    assert Pace(0.0).ahead(0.0) == 0


def test_short_work_is_fetched_ahead_by_as_much_as_is_done_meanwhile() -> None:
    pace, now = paced(2000, 2.0)
    assert abs(pace.ahead(now) - 2000 * AHEAD) <= 1


def test_long_work_is_not_fetched_ahead_so_that_others_may_have_it() -> None:
    pace = Pace(0.0)
    for second in range(1, 10):
        pace.finished(1, float(second))
    assert pace.ahead(9.0) == 0


def test_however_fast_work_goes_no_more_than_a_batch_is_at_hand() -> None:
    pace, now = paced(1_000_000, 2.0)
    assert pace.ahead(now) == MOST


def test_a_pace_is_forgotten_when_nothing_was_finished_for_a_while() -> None:
    pace, now = paced(2000, 2.0)
    assert pace.ahead(now + 10) == 0
