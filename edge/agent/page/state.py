"""What the agent has in hand, as its page shows it, and what is pressed there, as it is asked.

Everything goes by way of the verbs that the agent answers. Runs that the workstation decides about
are there only where it has that part.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edge.agent.local import Refused, Verbs
from ui import kiosk, schema_forms, schema_values, words
from ui.kiosk import Begin, Button, Coming, Notice, Question, Station, Work
from ui.sent import Form

SHOWN, ASKED, COMING, BEGINS = 6, 6, 5, 20
ANSWER, INPUT = "data.", "input."
BY = "the station page"
OPENING = "${{"
ENDED = "ended"
STATES = {"accepted": "READY", "starting": "IN_PROGRESS", "running": "IN_PROGRESS"}
WANTED = {"hold": "HELD", "stop": "STOPPING", "kill": "STOPPING"}
HELD = frozenset({"HELD", "HOLDING"})
OVER = frozenset({"FAILED", "STOPPED"})
DONE = frozenset({"COMPLETED"})
OF_RUN, OF_ATTEMPT = "run ", "attempt "  # of what a form speaks

Told = Mapping[str, Any]


async def station(
    verbs: Verbs,
    *,
    form: Form | None = None,
    refused: str = "",
    fault: str = "",
    key: str = "",
) -> Station:
    """`form` is what was typed for the question or the start `refused`, and `fault` why it was."""
    told: Told = await verbs.ask("status", {})
    runs = [each for each in await known(verbs, "runs") if each["state"] not in DONE]
    work = [of_run(each, await text_of(verbs, each)) for each in runs]
    work += [of_attempt(each) for each in told["attempts"] if is_own(each)]
    work.sort(key=lambda each: each.state in OVER)  # what goes on comes first
    questions = (await known(verbs, "questions"))[:ASKED]
    types = (await known(verbs, "types"))[:BEGINS]
    return Station(
        name=told["name"],
        state=state_of(told),
        home="/do",
        notices=notices(told),
        work=work[:SHOWN],
        more=max(0, len(work) - SHOWN),
        questions=[
            question(each, form, fault) if str(each["id"]) == refused else question(each)
            for each in questions
        ],
        coming=[coming(each) for each in (await known(verbs, "coming"))[:COMING]],
        begins=[
            begin(each, key, form, fault) if each["name"] == refused else begin(each, key)
            for each in types
        ],
        draining=told["draining"],
        drain=Button("drain", "Take work again" if told["draining"] else "Take no more work …"),
    )


async def known(verbs: Verbs, verb: str) -> Sequence[Told]:
    """Nothing where the agent has no such part."""
    return await verbs.ask(verb, {}) if verb in verbs.answers else []


async def text_of(verbs: Verbs, run: Told) -> str:
    """With what the run was given, where it speaks of that."""
    text: str = run.get("text") or ""
    if OPENING not in text or "run" not in verbs.answers:
        return text
    from scheduler.domain.instructions import filled

    given: Told = await verbs.ask("run", {"run": run["run"]})
    return filled(text, given.get("input") or {})


def state_of(told: Told) -> str:
    if told["draining"]:
        return "DRAINING"
    return "ONLINE" if told["state"] == "connected" else "ALONE"


def notices(told: Told) -> list[Notice]:
    found = []
    waits = to_send(told)
    if told["state"] != "connected":
        left = f", {words.plural(waits, 'update')} to send" if waits else ""
        found.append(Notice(f"Working alone since {clock(told['since'])}{left}", "late"))
    elif waits:
        found.append(Notice(f"{words.plural(waits, 'update')} on the way to the server", "idle"))
    if told["state"] == "fenced":
        found.append(Notice("Another machine has the identity of this one.", "bad"))
    if told["draining"]:
        why = f": {told['drain_reason']}" if told["drain_reason"] else ""
        found.append(Notice(f"It takes no new work{why}"))
    for each in (told["unwritable"], told["full"], told.get("unfit"), told["policy"]["fault"]):
        if each:
            found.append(Notice(f"It takes no new work: {each}", "bad"))
    if told["runner"]["away"]:
        found.append(Notice(f"Its runner is away: {told['runner']['away']}", "bad"))
    return found


def to_send(told: Told) -> int:
    """What concerns somebody: neither measures nor bytes of logs are counted."""
    return sum(told["waiting"].get(name, 0) for name in ("results", "events", "outputs"))


def clock(stamp: float) -> str:
    """In the machine's own zone: whoever stands before it has a watch."""
    then, now = datetime.fromtimestamp(stamp).astimezone(), datetime.now().astimezone()
    return then.strftime("%H:%M" if then.date() == now.date() else "%d %b %H:%M")


def is_own(attempt: Told) -> bool:
    """A task of the server, still in hand. Runs that are decided here, and what belongs to them,
    stand by themselves."""
    is_of_run = "/" in attempt["attempt"] or (attempt["argv"] is None and attempt["about"])
    return attempt["phase"] != ENDED and not is_of_run


def of_attempt(attempt: Told) -> Work:
    about = attempt["about"] or {}
    wanted = attempt["wanted"]
    state = WANTED.get(wanted or "", STATES.get(attempt["phase"], "IN_PROGRESS"))
    progress = attempt.get("progress") or {}
    far = progress.get("progress")
    return Work(
        id=OF_ATTEMPT + attempt["attempt"],
        title=about.get("type") or attempt["attempt"],
        record=about.get("record"),
        state=state,
        task=about.get("task"),
        text=about.get("text") or "",
        said=str(progress.get("text") or "")[:300],
        progress=min(1.0, max(0.0, float(far))) if isinstance(far, int | float) else None,
        since=moment(attempt.get("since")),
        buttons=buttons(state),
    )


def of_run(run: Told, text: str) -> Work:
    return Work(
        id=OF_RUN + str(run["run"]),
        title=run["type"],
        record=run.get("record"),
        state=run["state"],
        task=run.get("task"),
        text=text,
        since=moment(run.get("since")),
        over=run.get("over", 0),
        total=run.get("total", 0),
        error=run.get("error") or "",
        buttons=buttons(run["state"]),
    )


def buttons(state: str) -> list[Button]:
    if state in OVER:
        return [Button(kiosk.RESET, "Reset")]
    first = Button(kiosk.RESUME, "Resume") if state in HELD else Button(kiosk.HOLD, "Hold")
    if state == "STOPPING":
        return [Button(kiosk.HOLD, "Hold", "It is being stopped"), Button(kiosk.STOP, "Stop")]
    return [first, Button(kiosk.STOP, "Stop")]


def question(row: Told, form: Form | None = None, fault: str = "") -> Question:
    return Question(
        id=str(row["id"]),
        message=row["message"],
        about=" ".join(filter(None, (row.get("type"), row.get("record"), row.get("task")))),
        fields=schema_forms.fields_of(row.get("form"), {}, ANSWER, form=form),
        asked_at=moment(row.get("asked")),
        due_at=moment(row.get("due")),
        note=form.get("note") if form else "",
        fault=fault,
        obstacle=row.get("obstacle"),
    )


def begin(row: Told, key: str, form: Form | None = None, fault: str = "") -> Begin:
    return Begin(
        name=row["name"],
        text=row.get("description") or "",
        fields=schema_forms.fields_of(row.get("input"), {}, INPUT, form=form),
        fault=fault,
        key=form.get("key") if form else key,
    )


def coming(row: Told) -> Coming:
    return Coming(row["type"], row.get("task") or "", row.get("record"), moment(row.get("at")))


def moment(stamp: float | None) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(stamp, UTC)


# What is pressed.


async def press(verbs: Verbs, verb: str, form: Form) -> str:
    """Done as it was asked; answers which sentence says so."""
    match verb:
        case "hold" | "resume" | "stop" | "reset":
            await steer(verbs, verb, form)
        case "drain":
            await verbs.ask("drain", {"why": required(form, "reason")})
        case "undrain":
            await verbs.ask("undrain", {})
        case "answer":
            return await answer(verbs, form)
        case "start":
            await start(verbs, form)
        case _:
            raise Refused(f"{verb[:40]!r} is nothing that can be done here")
    return verb


async def steer(verbs: Verbs, verb: str, form: Form) -> None:
    id, why = form.get("id"), form.get("why").strip()[:500]
    if id.startswith(OF_RUN):
        await verbs.ask(f"{verb}-run", {"run": id.removeprefix(OF_RUN), "why": why, "by": BY})
    elif id.startswith(OF_ATTEMPT) and verb != kiosk.RESET:
        await verbs.ask(verb, {"attempt": id.removeprefix(OF_ATTEMPT), "why": why})
    else:
        raise Refused("this is not in hand any more", "look at what is")


async def answer(verbs: Verbs, form: Form) -> str:
    decision = form.get("decision")
    if decision not in ("approve", "reject"):
        raise Refused("say whether it is approved or rejected")
    asked = await found(verbs, "questions", "id", form.get("id"))
    approve = decision == "approve"
    data = schema_values.read(form, asked.get("form"), prefix=ANSWER) if approve else {}
    note = form.get("note").strip()[:2000]
    wish = {"id": asked["id"], "approve": approve, "data": data, "note": note, "by": BY}
    await verbs.ask("answer", wish)
    return "approved" if approve else "rejected"


async def start(verbs: Verbs, form: Form) -> None:
    type = await found(verbs, "types", "name", form.get("id"))
    input = schema_values.read(form, type.get("input"), prefix=INPUT)
    await verbs.ask(
        "start", {"type": type["name"], "input": input, "key": form.get("key")[:80], "by": BY}
    )


async def found(verbs: Verbs, verb: str, name: str, value: str) -> Told:
    for each in await known(verbs, verb):
        if str(each[name]) == value:
            return each
    raise Refused("this is not there any more", "look at what is")


def required(form: Form, name: str) -> str:
    given = form.get(name).strip()[:500]
    if not given:
        raise Refused("say why: whoever stands before it wants to know")
    return given
