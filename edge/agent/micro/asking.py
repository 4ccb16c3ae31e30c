"""Questions that runs ask of people, answered at the workstation."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from edge.agent.micro.ledger import Ledger, stamp
from executor.base import Ending, Outcome
from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound
from scheduler.domain.inputs import check_against
from scheduler.domain.orders import AskApproval, CloseApproval

if TYPE_CHECKING:
    from edge.agent.micro.decision import Decision

# Whoever stands at the machine counts as its operator, and as nobody else.
HERE = frozenset({"role:operator", "role:viewer"})
COLUMNS = "id, run, position, attempt, message, who, form, asked, due, state, by, note, data"


def may_be_answered_here(who: tuple[str, ...]) -> bool:
    return not who or not HERE.isdisjoint(who)


def ask(decision: "Decision", order: AskApproval) -> None:
    form = None if order.form is None else json.dumps(order.form)
    decision.ledger.change(
        """insert into micro_approvals
             (run, position, attempt, state, message, who, form, asked, due)
           values (?, ?, ?, 'OPEN', ?, ?, ?, ?, ?)""",
        *(str(order.task.run_id), order.task.position, order.attempt),
        *(order.message, json.dumps(list(order.who)), form),
        *(decision.stamp, stamp(order.due_at)),
    )


def close(decision: "Decision", order: CloseApproval) -> None:
    decision.ledger.change(
        """update micro_approvals set state = 'CLOSED', note = ?
            where run = ? and position = ? and state = 'OPEN'""",
        *(order.why, str(order.task.run_id), order.task.position),
    )


def answer(
    decision: "Decision",
    id: int,
    *,
    approve: bool,
    by: str,
    data: Mapping[str, Any],
    note: str,
    is_known: bool = False,
) -> Mapping[str, Any]:
    """Once and for all; the run goes on. `is_known`: somebody else has seen that they may."""
    asked = get(decision.ledger, id)
    if asked["state"] != "OPEN":
        raise Conflict(f"question {id} is {asked['state'].lower()} already")
    if not is_known and not may_be_answered_here(tuple(asked["who"])):
        who = ", ".join(asked["who"])
        raise Forbidden(f"question {id} is for {who}", remedy="answer it on the server")
    checked = check_against(asked["form"], dict(data)) if approve else {}
    if not approve and not note.strip():
        raise Invalid("say why it is rejected", field="note")
    decision.ledger.change(
        "update micro_approvals set state = ?, by = ?, note = ?, data = ? where id = ?",
        *("APPROVED" if approve else "REJECTED", by, note, json.dumps(checked), id),
    )
    told = {"approved": approve, "by": by, "note": note or None, "data": checked}
    decision.deliver(UUID(asked["run"]), asked["position"], outcome_of(told))
    decision.follow()
    return get(decision.ledger, id)


def outcome_of(told: Mapping[str, Any]) -> Outcome:
    if told["approved"]:
        return Outcome(ending=Ending.SUCCEEDED, output=json.dumps(told))
    return Outcome(
        ending=Ending.FAILED,
        error=f"rejected by {told['by']}: {told['note']}",
        output=json.dumps(told),
        retryable=False,
    )


def get(ledger: Ledger, id: int) -> dict[str, Any]:
    found = ledger.one(f"select {COLUMNS} from micro_approvals where id = ?", id)
    if found is None:
        raise NotFound(f"there is no question {id} here")
    return as_row(found)


def at(ledger: Ledger, run: UUID, position: int, attempt: int) -> int:
    found = ledger.one(
        "select id from micro_approvals where run = ? and position = ? and attempt = ?",
        *(str(run), position, attempt),
    )
    if found is None:
        raise NotFound("this is not asked here any more")
    return int(found[0])


def of_run(ledger: Ledger, run: UUID) -> list[dict[str, Any]]:
    found = ledger.rows(
        f"select {COLUMNS} from micro_approvals where run = ? order by id", str(run)
    )
    return [as_row(each) for each in found]


def open_ones(ledger: Ledger, most: int = 100) -> list[dict[str, Any]]:
    found = ledger.rows(
        f"select {COLUMNS} from micro_approvals where state = 'OPEN' order by id limit ?", most
    )
    return [as_row(each) for each in found]


def as_row(found: tuple[Any, ...]) -> dict[str, Any]:
    row = dict(zip(COLUMNS.split(", "), found, strict=True))
    parsed = {name: json.loads(row[name]) for name in ("who", "form", "data") if row[name]}
    return {**row, **parsed}
