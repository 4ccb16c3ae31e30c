"""Which files a server takes of a workstation, and how many of their bytes."""

import zlib
from dataclasses import replace
from typing import Any

import pytest

from edge.desk import FILES_CAP, MOST_FILES, Desk, Filed, Hand, Stage, Station
from edge.messages import File, Frame, Have

DATA = b"what was left"
ALL = len(DATA)


def a_file(**other: Any) -> File:
    told = File("7.1", 0, "out.txt", ALL, "0" * 64, 0, DATA, zlib.crc32(DATA))
    told = replace(told, **other)
    return told if "crc" in other else replace(told, crc=zlib.crc32(told.data))


def wanted(file: File, **station: Any) -> tuple[int, bool]:
    """The next byte that is wanted, and whether these were taken."""
    hands = {"7.1": Hand("7.1", Stage.OVER, filed=station.pop("filed", 0))}
    desk = Desk(Station(session=1, hands=hands, **station), 0.0)
    desk.hear(Frame(1, (file,)))
    [have] = [each for each in desk.answers if isinstance(each, Have)]
    [(_, offset)] = have.files.items()
    return offset, any(isinstance(each, Filed) for each in desk.changes)


def test_a_file_is_taken_in_parts_in_their_order() -> None:
    first, rest = a_file(data=DATA[:5]), a_file(data=DATA[5:], offset=5)
    assert wanted(first) == (5, True)
    assert wanted(rest, files={"7.1#0": 5}) == (ALL, True)
    assert wanted(rest) == (0, False)
    assert wanted(first, files={"7.1#0": 5}) == (5, False)
    assert wanted(a_file(crc=1)) == (0, False)


@pytest.mark.parametrize(
    "file",
    [
        a_file(attempt="8.1"),
        a_file(number=MOST_FILES),
        a_file(name=""),
        a_file(name="a\nb"),
        a_file(name="x" * 201),
        a_file(digest="none"),
        a_file(size=ALL - 1),
        a_file(data=b""),
    ],
)
def test_what_is_nobodys_or_makes_no_sense_is_never_asked_for_again(file: File) -> None:
    assert wanted(file) == (file.size, False)


def test_an_attempt_may_leave_so_much_and_no_more() -> None:
    assert wanted(a_file(), filed=FILES_CAP - ALL) == (ALL, True)
    assert wanted(a_file(), filed=FILES_CAP - ALL + 1) == (ALL, False)
