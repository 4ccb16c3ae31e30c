"""All the chores that a server knows."""

from scheduler.chores.exports import EXPORTS
from scheduler.chores.kinds import Kinds, named
from scheduler.chores.letters import LETTERS
from scheduler.chores.notifications import DELIVERIES, WATCH
from scheduler.chores.retention import RETENTION, ROLLUPS
from scheduler.chores.run_commands import COMMANDS
from scheduler.chores.workstations import WORKSTATIONS

KINDS: Kinds = named(
    LETTERS, COMMANDS, EXPORTS, RETENTION, ROLLUPS, WATCH, DELIVERIES, WORKSTATIONS
)
