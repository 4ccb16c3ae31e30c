"""Workflows tried without a server: time jumps, messages come as they are told, programs die."""

from procession.testing.histories import history_of, replay
from procession.testing.killing import NotTheSame, replay_everywhere
from procession.testing.runs import Diverged, Point, Run, RunFailed, Unanswered
from procession.testing.world import World

__all__ = [
    "Diverged",
    "NotTheSame",
    "Point",
    "Run",
    "RunFailed",
    "Unanswered",
    "World",
    "history_of",
    "replay",
    "replay_everywhere",
]
