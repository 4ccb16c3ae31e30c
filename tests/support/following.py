"""What people do on pages: they send a form and land on the page that it leads to."""

from typing import Any

from tests.support.browser import Browser, Form, Page


async def following(someone: Browser, form: Form, *, to: str = "", **fields: Any) -> Page:
    """A form without an action leads to where it stands, which `to` says."""
    answer = await someone.post(to or form.action, {**dict(form.fields), **fields})
    assert answer.status_code == 303, answer.text[-1500:]
    return await someone.open(answer.headers["location"])
