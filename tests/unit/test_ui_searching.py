"""What is found in a log, onwards and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.pages.logs.searching import Needle, needle_of


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (b"no trouble", None, None),
        (b"ERROR: x\nfatal y", (0, 5), (9, 14)),
        (b"terror errors error_code", None, None),
        (b"errors, error", (8, 13), (8, 13)),
        (b"failed", (0, 6), (0, 6)),
    ],
)
def test_trouble_is_a_word_of_its_own(
    text: bytes, first: tuple[int, int] | None, last: tuple[int, int] | None
) -> None:
    needle = needle_of(None)
    assert needle.first(text) == first
    assert needle.last(text, len(text)) == last


@given(st.text(alphabet="aAb \n", max_size=40), st.text(alphabet="abA", min_size=1, max_size=3))
def test_a_text_is_found_where_a_pattern_would_find_it(text: str, sought: str) -> None:
    needle, data = needle_of(sought), text.encode()
    starts = [at for at in range(len(data)) if re.match(sought.encode(), data[at:], re.IGNORECASE)]
    first, last = needle.first(data), needle.last(data, len(data))
    assert (first and first[0]) == (starts[0] if starts else None)
    assert (last and last[0]) == (starts[-1] if starts else None)
    for before in range(1, len(data)):
        found = needle.last(data, before)
        earlier = [at for at in starts if at < before]
        assert (found and found[0]) == (earlier[-1] if earlier else None)


def test_the_nearest_of_several_words_is_found() -> None:
    needle = Needle((b"b", b"a"), is_word=False)
    assert needle.first(b"xxab") == (2, 3)
    assert needle.last(b"xxab", 4) == (3, 4)
