"""All the chores that a server knows."""

from scheduler.chores.kinds import Kinds, named
from scheduler.chores.letters import LETTERS

KINDS: Kinds = named(LETTERS)
