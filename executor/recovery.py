"""What a former runner of this folder left: exits nobody acknowledged, starts that saw no end."""

import contextlib
from typing import Any

from executor import record, wire
from executor.journal import Journal
from executor.record import Record
from executor.stored import Outlet, Shelf, Stored


def recover(journal: Journal, shelf: Shelf, boot: str) -> dict[str, Record]:
    """Its commands are gone: this runner got the lock only when its guard had let go of it."""
    begun, exits, boot_before = journal.read()
    for key in begun:
        exits[key] = record.of_interrupted(key, boot == boot_before)
    ended = {
        key: Record(facts, Outlet(recover_output(shelf, key, facts)))
        for key, facts in exits.items()
    }
    left = [facts for each in ended.values() for facts in each.files]
    shelf.clear(keep=[*ended, *(facts["place"] for facts in left)])
    shelf.quota.used += sum(facts["size"] for facts in left)
    return ended


def recover_output(shelf: Shelf, key: str, facts: dict[str, Any]) -> Stored:
    packed = facts.pop("chunks", None)
    if packed is None:
        with contextlib.suppress(FileNotFoundError):
            return Stored.recovered(shelf, key)
    stored = Stored(shelf, key)
    for segment in wire.unpack(packed or ()):
        stored.add(segment)
    return stored
