"""Fields of forms about workstations, read as the API reads them."""

import re
from datetime import timedelta

from scheduler.domain import places
from scheduler.domain.errors import Invalid
from ui.forms import Form

LONGEST = 500
MOST_LABELS, MOST_MACHINES = 32, 1_000
LIVES = {"15m": "15 minutes", "1h": "an hour", "8h": "8 hours", "24h": "a day"}
LENGTHS = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "8h": timedelta(hours=8),
    "24h": timedelta(hours=24),
}
BETWEEN = re.compile(r"[,;\n]+")


def reason_of(form: Form) -> str:
    reason = form.get("reason").strip()[:LONGEST]
    if not reason:
        raise Invalid("say why: whoever stands before it wants to know", field="reason")
    return reason


def labels_of(given: str, field: str = "labels") -> dict[str, str]:
    """Written as line=2, hall=7; of one that is written twice, refused."""
    found: dict[str, str] = {}
    for piece in filter(None, (each.strip() for each in BETWEEN.split(given))):
        name, sign, value = (part.strip() for part in piece.partition("="))
        if not sign:
            raise Invalid(f"{piece[:80]!r} is no label", field=field, remedy="write name=value")
        if name in found:
            raise Invalid(f"the label {name[:80]!r} stands there twice", field=field)
        found[name] = value
    if len(found) > MOST_LABELS:
        raise Invalid(f"a workstation has at most {MOST_LABELS} labels", field=field)
    return places.check_labels(found, field)


def written(labels: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def name_of(given: str) -> str | None:
    """None where each machine is to say its own."""
    given = given.strip()
    return places.check_name(given, "name") if given else None


def life_of(given: str) -> timedelta:
    if given not in LENGTHS:
        raise Invalid(
            f"{given[:40]!r} is no time that an invitation lives",
            field="expires",
            remedy="take one of " + ", ".join(LENGTHS),
        )
    return LENGTHS[given]


def machines_of(given: str) -> int:
    given = given.strip() or "1"
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= MOST_MACHINES):
        raise Invalid(
            f"{given[:40]!r} is no number of machines",
            field="uses",
            remedy=f"1 to {MOST_MACHINES}",
        )
    return int(given)
