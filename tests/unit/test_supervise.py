from itertools import accumulate

from scheduler.supervise import Backoff, in_words


def test_each_restart_waits_twice_as_long_up_to_ten_seconds() -> None:
    backoff = Backoff()
    pauses = [backoff.after(alive=0.0) for _ in range(9)]
    assert pauses == [*accumulate([0.1] + [2] * 6, lambda pause, by: pause * by), 10.0, 10.0]


def test_a_good_while_alive_makes_the_next_restart_quick_again() -> None:
    backoff = Backoff()
    assert [backoff.after(alive) for alive in (0.0, 29.9, 0.0, 30.0, 0.0)] == [
        0.1,
        0.2,
        0.4,
        0.1,
        0.2,
    ]


def test_an_end_is_told_in_words() -> None:
    assert in_words(-9) == "killed by SIGKILL"
    assert in_words(3) == "exit code 3"
