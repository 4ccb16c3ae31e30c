"""An order: steps that are kept, a payment that is waited for, what others see of it, a stop."""

from dataclasses import dataclass
from decimal import Decimal

from ledger import note

from procession.workflows import (
    Stopped,
    TimedOut,
    get_event,
    recv,
    send,
    set_event,
    step,
    this_run,
    this_step,
    uuid4,
    workflow,
)


@dataclass(frozen=True)
class Reservation:
    number: str
    total: Decimal


@step(retries=5, delay=0.2, retry_on=(ConnectionError,))
def reserve(item: str, many: int) -> Reservation:
    # The key is the same whenever this step is tried, so a shop that knows it reserves once.
    note("reserve", this_step().key)
    return Reservation(f"R-{item}", Decimal("9.90") * many)


@step
async def ask_for_payment(link: str, total: Decimal) -> None:
    note("ask_for_payment", this_step().key)


@step
def release(number: str) -> None:
    note("release", this_step().key)


@step
def ship(number: str) -> str:
    note("ship", this_step().key)
    return f"S-{number}"


@workflow(hears_stop=True)
async def order(item: str, many: int = 1, patience: float = 3600) -> str:
    """Reserves, waits for the payment, ships; or gives back what it reserved."""
    reserved = await reserve(item, many)
    await set_event("payment", {"run": this_run(), "link": f"https://pay.example/{uuid4()}"})
    try:
        await ask_for_payment(reserved.number, reserved.total)
        paid = await recv("payment", timeout=patience)
    except TimedOut:
        await release(reserved.number)
        await set_event("state", "given up")
        return "not paid"
    except Stopped:
        await release(reserved.number)
        raise
    await set_event("state", f"paid by {paid['by']}")
    return await ship(reserved.number)


@workflow
async def payment(order: str, by: str) -> str:
    """What a bank does: sees where to pay, and tells the order once that it was paid."""
    shown = await get_event(order, "payment", timeout=60)
    await send(order, "payment", {"by": by, "link": shown["link"]}, key="paid")
    return str(shown["link"])
