"""Head, tail and the exact number between them, however the bytes arrive."""

from hypothesis import given, settings
from hypothesis import strategies as st

from executor.output import LONGEST_TAIL, Bare, Capture
from executor.wire import Segment

pieces = st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=40)), max_size=60)


def run(cap: int, printed: list[tuple[int, bytes]]) -> tuple[Capture, list[Segment]]:
    capture = Capture(cap)
    head = [capture.feed(stream, data) for stream, data in printed if data]
    return capture, [segment for segment in head if segment is not None] + capture.finish()


@settings(deadline=None)
@given(cap=st.integers(0, 400), printed=pieces)
def test_what_is_kept_and_what_is_dropped_add_up_to_what_was_printed(
    cap: int, printed: list[tuple[int, bytes]]
) -> None:
    capture, segments = run(cap, printed)
    kept = sum(len(data) for _, _, data in segments)
    assert capture.size == sum(len(data) for _, data in printed)
    assert kept + capture.dropped == capture.size
    assert kept == min(cap, capture.size)


@settings(deadline=None)
@given(cap=st.integers(0, 400), printed=pieces)
def test_every_kept_byte_stands_at_its_offset_and_in_its_stream(
    cap: int, printed: list[tuple[int, bytes]]
) -> None:
    whole = b"".join(data for _, data in printed)
    streams = [stream for stream, data in printed for _ in data]
    for offset, stream, data in run(cap, printed)[1]:
        assert whole[offset : offset + len(data)] == data
        assert set(streams[offset : offset + len(data)]) == {stream}


@settings(deadline=None)
@given(cap=st.integers(0, 400), printed=pieces)
def test_head_and_tail_are_the_two_ends(cap: int, printed: list[tuple[int, bytes]]) -> None:
    whole = b"".join(data for _, data in printed)
    segments = run(cap, printed)[1]
    kept = b"".join(data for _, _, data in segments)
    tail = min(cap // 4, LONGEST_TAIL)
    assert kept.startswith(whole[: cap - tail])
    assert kept.endswith(whole[len(whole) - min(tail, len(whole)) :])
    offsets = [offset for offset, _, _ in segments]
    assert offsets == sorted(offsets)


@settings(deadline=None)
@given(printed=pieces, refused_from=st.integers(0, 20))
def test_what_could_not_be_stored_counts_as_dropped(
    printed: list[tuple[int, bytes]], refused_from: int
) -> None:
    capture, kept = Capture(1 << 20), 0
    for number, (stream, data) in enumerate(piece for piece in printed if piece[1]):
        segment = capture.feed(stream, data)
        if segment is None:
            continue
        if number >= refused_from:
            capture.refuse(segment)
            capture.close_head()
        else:
            kept += len(segment[2])
    kept += sum(len(data) for _, _, data in capture.finish())
    assert kept + capture.dropped == capture.size


def test_a_flood_of_single_bytes_costs_no_more_than_the_tail() -> None:
    capture = Capture(4000)
    for number in range(20_000):
        capture.feed(0, bytes([number % 256]))
    assert len(capture.tail) < 10
    assert capture.tail_size == 1000


def test_without_secrets_nothing_is_held_back() -> None:
    bare = Bare()
    assert (bare.feed(b"abc"), bare.flush()) == (b"abc", b"")
