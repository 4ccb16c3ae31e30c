"""Events that happen on this workstation, and those who wait for them."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from edge.agent.micro.ledger import moment, task_id
from edge.agent.micro.working import Work, scope_of
from edge.messages import Happened
from executor.base import Outcome
from scheduler.domain import signals
from scheduler.domain.orders import AwaitEvent, EmitEvent
from scheduler.domain.states import Reason

if TYPE_CHECKING:
    from edge.agent.micro.decision import Decision


def wait(decision: "Decision", order: AwaitEvent) -> None:
    """Wait for what is to come, unless it came already. Where a run waits for the same event
    again, it waits for the next one."""
    task = order.task
    decision.ledger.change(
        """insert or replace into micro_waits
           select ?1, ?2, ?3, ?4, coalesce(max(after), 0) from micro_waits
            where run = ?1 and type = ?3 and key = ?4""",
        *(str(task.run_id), task.position, order.event, order.key),
    )
    look(decision, task.run_id, task.position)


def emit(decision: "Decision", order: EmitEvent) -> None:
    """The source is the run, so that a task tells each attempt's event once."""
    task = order.task
    event = f"{task.name}:{task.attempt}"
    happen(decision, f"run:{task.run_id}", event, order.event, order.key, order.data)


def happen(decision: "Decision", source: str, event: str, type: str, key: str, data: Any) -> bool:
    """False if it is known already."""
    ledger = decision.ledger
    if ledger.one("select 1 from micro_events where source = ? and event = ?", source, event):
        return False
    text = json.dumps(data)
    ledger.change(
        "insert into micro_events (type, key, source, event, data, at) values (?, ?, ?, ?, ?, ?)",
        *(type, key, source, event, text, decision.stamp),
    )
    decision.happened.append(Happened(source, event, type, key, text, decision.stamp))
    waiting = ledger.rows(
        "select run, position from micro_waits where type = ? and key = ? order by run, position",
        *(type, key),
    )
    for run, position in waiting:
        look(decision, UUID(run), position)
    return True


def look(decision: "Decision", run: UUID, position: int) -> None:
    """The first event that came since the run began and that the task wants."""
    work = decision.work(run)
    if work is None or work.board.tasks[position].reason is not Reason.SIGNAL:
        return
    while (outcome := following(decision, work, position)) is not None:
        if isinstance(outcome, Outcome):
            decision.deliver(run, position, outcome)
            return


def following(decision: "Decision", work: Work, position: int) -> Outcome | bool | None:
    """What the next event is to the task; False if it is none for it, None if there is none."""
    ledger, run = decision.ledger, str(work.case.run.id)
    found = ledger.one(
        """select e.id, e.source, e.event, e.type, e.key, e.data, e.at
             from micro_waits w
             join micro_events e on e.type = w.type and e.key = w.key and e.id > w.after
            where w.run = ? and w.position = ? and e.at >= ? order by e.id limit 1""",
        *(run, position, work.case.about.created),
    )
    if found is None:
        return None
    ledger.change(
        "update micro_waits set after = ? where run = ? and position = ?",
        *(found[0], run, position),
    )
    event = as_event(found)
    call = work.board.by_id[task_id(position)].invocation
    return signals.met(call, event, scope_of(work)) or False


def as_event(found: tuple[Any, ...]) -> dict[str, Any]:
    _, source, event, type, key, data, at = found
    return {
        "source": source,
        "event_id": event,
        "type": type,
        "key": key,
        "data": json.loads(data),
        "occurred_at": moment(at),
    }
