"""Chance and ids, for whoever has neither given beforehand."""

import random
from typing import Protocol
from uuid import UUID

from scheduler.domain import ids


class World(Protocol):
    """What decisions need that is no row."""

    def new_id(self) -> UUID: ...
    def chance(self) -> float: ...


class ThisWorld:
    def new_id(self) -> UUID:
        return ids.new_id()

    def chance(self) -> float:
        return random.random()
