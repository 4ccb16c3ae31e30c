"""What people do on pages: they send a form and land on the page that it leads to."""

from typing import Any

from tests.support.browser import Browser, Form, Page


async def following(someone: Browser, form: Form, **fields: Any) -> Page:
    answer = await someone.send(form, **fields)
    assert answer.status_code == 303, answer.text[-1500:]
    return await someone.open(answer.headers["location"])
