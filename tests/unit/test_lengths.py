"""Lengths of time as answers have them."""

import re
from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from scheduler.api.lengths import Length

# RFC 3339, appendix A, which the format `duration` of JSON Schema refers to.
TIME = r"T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S)"
DATE = r"(\d+D|\d+M(\d+D)?|\d+Y(\d+M(\d+D)?)?)"
DURATION = re.compile(rf"P({DATE}({TIME})?|{TIME}|\d+W)")
LENGTHS = TypeAdapter(Length)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"days": 1100}, "P1100D"),
        ({"days": 365}, "P365D"),
        ({"hours": 1, "seconds": 5}, "PT3605S"),
        ({"days": 1, "minutes": 90}, "P1DT90M"),
        ({"hours": 2}, "PT2H"),
        ({}, "PT0H"),
    ],
)
def test_a_length_is_written_so_that_all_can_read_it(given: dict[str, int], written: str) -> None:
    length = timedelta(**given)
    text = LENGTHS.dump_python(length, mode="json")
    assert text == written
    assert DURATION.fullmatch(text)
    assert LENGTHS.validate_python(text) == length
