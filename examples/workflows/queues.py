"""Many runs of one workflow: few at a time for each customer, and not too many in any second."""

from ledger import note

from procession.workflows import step, this_step, workflow


@step
def send_mail(to: str) -> str:
    note("send_mail", this_step().key)
    return f"sent to {to}"


@workflow(
    limit={"key": "mails of ${{ input.customer }}", "max": 2},
    rate={"key": "mails", "max": 50, "per": "1s"},
    share="${{ input.customer }}",
)
async def mail(customer: str, to: str) -> str:
    """At most two at a time for a customer, fifty in any second, and customers take turns."""
    return await send_mail(to)
