"""A machine that answers its operators itself, with states as ISA-88 has them."""

from ledger import note

from procession.workflows import Stopped, recv_command, set_event, step, this_step, workflow


@step
def produce(part: int) -> int:
    note("produce", this_step().key)
    return part


@step
def shut_down(reason: str) -> None:
    note("shut_down", this_step().key)


@workflow(hears_stop=True)
async def machine(parts: int) -> dict[str, int | str]:
    """Between two parts it looks what its operators want."""
    state, made = "RUNNING", 0
    await set_event("state", state)
    try:
        while made < parts and state != "STOPPED":
            command = await recv_command(state, timeout=0 if state == "RUNNING" else 3600)
            if command is not None:
                state = {"HOLD": "HELD", "RESUME": "RUNNING", "STOP": "STOPPED"}[command.cmd]
                await set_event("state", state)
            elif state == "RUNNING":
                made = await produce(made + 1)
    except Stopped as stopped:  # by somebody who does not ask the machine
        await shut_down(stopped.reason)
        raise
    return {"state": state, "made": made}
