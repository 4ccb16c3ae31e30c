"""Which agents are given work, and how often one that polls asks for it."""

import pytest

from edge.agent.carriers.poll import QUIET, STRETCH, Pace
from edge.messages import Command, Frame, Have, Item, Lane, Lease, Metrics, Verb
from edge.window import Window


@pytest.mark.parametrize(
    ("version", "oldest", "newest"),
    [
        ("", "", ""),
        ("0.1.0", "", ""),
        ("1.4.2", "1.4", "1.4"),
        ("1.4", "1.4.0", "1.4"),
        ("1.10", "1.9", ""),
        ("2.0rc1", "1", "2"),
    ],
)
def test_both_ends_of_the_window_count_themselves(version: str, oldest: str, newest: str) -> None:
    assert Window(oldest, newest).objection(version) == ""


@pytest.mark.parametrize(
    ("version", "oldest", "newest", "why"),
    [
        ("1.3.9", "1.4", "", "version 1.3.9, and 1.4 is due: install a newer one"),
        ("", "1.4", "", "version unknown"),
        ("none", "", "1.4", "version none"),
        ("1.5.0", "1.4", "1.4", "1.4 is the newest that may be"),
        ("2.0rc1", "1", "1", "2.0rc1"),
    ],
)
def test_who_is_outside_the_window_is_told_why(
    version: str, oldest: str, newest: str, why: str
) -> None:
    assert why in Window(oldest, newest).objection(version)


NOTHING = Frame(1, ())
HAVE = Frame(1, (Have((0,) * 5, (0,) * 5),))
ALIVE = Frame(1, (Lease((), 4, 0.0), Item(Lane.METRICS, 1, Metrics(0.0, {}))))
BUSY = Frame(1, (Lease(("1.1",), 3, 0.0),))
ORDER = Frame(1, (Command(1, Verb.DRAIN),))


def test_polls_are_further_apart_where_nothing_happens_and_not_while_something_is_in_hand() -> None:
    pace = Pace()
    pace.note(NOTHING, HAVE, 0.0)
    assert pace.stretch(0.0) == 1.0
    pace.note(ALIVE, HAVE, QUIET)
    assert pace.stretch(QUIET) == STRETCH
    for said, heard in ((BUSY, HAVE), (ALIVE, ORDER)):
        pace.note(said, heard, 2 * QUIET)
        assert pace.stretch(2 * QUIET) == 1.0
        assert pace.stretch(3 * QUIET) == STRETCH
