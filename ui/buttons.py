"""What may be done with a run now: read off the table of arrows. What may not says why."""

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.domain.states import RUN_ARROWS, RunState
from scheduler.services.access import Caller
from ui import access, words

R = RunState
PAUSED = frozenset({R.HOLDING, R.HELD})


@dataclass(frozen=True, slots=True)
class Button:
    verb: str
    text: str
    obstacle: str | None  # why it is grey; None for one that may be pressed


@dataclass(frozen=True, slots=True)
class Verb:
    name: str
    text: str
    fits: Callable[[RunState], bool]
    needs: str


def leads(state: RunState, *targets: RunState) -> bool:
    return any(target in RUN_ARROWS[state] for target in targets)


VERBS = (
    Verb(
        "hold",
        "Hold",
        lambda s: leads(s, R.HOLDING, R.HELD) and s not in PAUSED,
        "only a run that is pending or running can be held",
    ),
    Verb(
        "resume",
        "Resume",
        lambda s: s in PAUSED and leads(s, R.IN_PROGRESS),
        "only a run that is held can go on",
    ),
    Verb(
        "stop",
        "Stop",
        lambda s: not s.is_final and leads(s, R.STOPPING, R.STOPPED),
        "there is nothing to stop",
    ),
    Verb(
        "retry",
        "Retry",
        lambda s: s.is_final and leads(s, R.IN_PROGRESS),
        "only a run that failed or was stopped is tried again",
    ),
    Verb(
        "undo",
        "Undo",
        lambda s: s.is_final and leads(s, R.COMPENSATING),
        "only a run that failed or was stopped can be undone",
    ),
)


def of_run(state: RunState, caller: Caller) -> list[Button]:
    return [Button(each.name, each.text, obstacle(each, state, caller)) for each in VERBS]


def obstacle(verb: Verb, state: RunState, caller: Caller) -> str | None:
    if not access.may(caller, "ui_run_command"):
        return f"{verb.text} takes an operator, and you are {caller.role}"
    if not verb.fits(state):
        return f"The run is {words.state(state).text}: {verb.needs}"
    return None
