"""What a desk has decided, as what is written of it."""

from collections.abc import Callable, Iterable

from edge.remote import outcomes
from edge.remote.desk import (
    Change,
    Draining,
    Gone,
    Hand,
    HandedBack,
    Lost,
    Over,
    Printed,
    Said,
    Told,
)
from edge.remote.links import Link
from edge.remote.recording import Closing, Key, Word
from executor.base import Outcome
from scheduler.store.output import Chunk

STDOUT = 1


def word_of(link: Link, changes: Iterable[Change], done: Callable[[Word], None]) -> Word:
    word = Word(link.holder, link.name, done, brings=link.brings)
    for change in changes:
        match change:
            case Over(hand, ended):
                word.closings.append(closing(link, hand, outcomes.of(ended)))
            case Lost(hand):
                word.closings.append(closing(link, hand, outcomes.lost(outcomes.LEFT)))
            case HandedBack(hand, _):
                word.closings.append(closing(link, hand, None))
            case Told(hand, progress):
                word.progress[key_of(hand)] = outcomes.progress(progress)
            case Printed(hand, offset, data):
                word.chunks.append(chunk(hand, offset, data))
                word.runs.add(hand.run)
            case Draining():
                word.drains = True
            case Gone():
                word.leaves = True
            case Said():
                word.said.append(change)
    return word


def closing(link: Link, hand: Hand, outcome: Outcome | None) -> Closing:
    return Closing(hand.run, key_of(hand), link.holder, outcome)


def chunk(hand: Hand, offset: int, data: bytes) -> Chunk:
    task, attempt = key_of(hand)
    return Chunk(task_id=task, attempt=attempt, start=offset, stream=STDOUT, data=data)


def key_of(hand: Hand) -> Key:
    return key(hand.attempt)


def key(attempt: str) -> Key:
    task, _, number = attempt.partition(".")
    return int(task), int(number)


def name_of(key: Key) -> str:
    return f"{key[0]}.{key[1]}"
