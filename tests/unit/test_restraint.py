from scheduler.domain.restraint import AIM, LEAST, LEAST_REST, MOST, REST, Restraint


def worked(per_row: float, pieces: int, fixed: float = 0.0) -> tuple[Restraint, float]:
    """After so many pieces; the rest after the last."""
    restraint, rest = Restraint(), 0.0
    for _ in range(pieces):
        rest = restraint.took(restraint.size, fixed + restraint.size * per_row)
    return restraint, rest


def test_a_piece_takes_as_long_as_somebody_else_may_wait() -> None:
    restraint, _ = worked(5e-6, 20)
    assert abs(restraint.size * 5e-6 - AIM) < AIM / 10


def test_however_fast_or_slow_rows_go_a_piece_has_its_bounds() -> None:
    assert worked(1e-9, 20)[0].size == MOST
    assert worked(1.0, 20)[0].size == LEAST


def test_who_is_slowed_down_rests_longer_in_proportion() -> None:
    _, quick = worked(5e-6, 20)
    _, slow = worked(1e-4, 20)
    assert quick == REST * AIM
    assert slow == REST * LEAST * 1e-4 > quick


def test_one_slow_piece_halves_the_next_and_no_more() -> None:
    restraint, _ = worked(5e-6, 20)
    before = restraint.size
    restraint.took(before, 3.0)
    assert restraint.size == before // 2


def test_what_took_no_time_is_followed_by_a_rest_all_the_same() -> None:
    assert Restraint().took(10, 0.0) == LEAST_REST
