"""The dashboard of `procession up`: who has only what it prints gets in."""

from pathlib import Path

import httpx
import pytest

from tests.acceptance.test_up import up
from tests.support.browser import Browser, token_form

pytestmark = pytest.mark.anyio


async def test_what_up_prints_is_enough_to_get_in(tmp_path: Path) -> None:
    async with up(tmp_path / "data", PROCESSION_ENVIRONMENT="line 3:red") as running:
        assert running.process.stdout is not None
        word, address = (await running.process.stdout.readline()).decode().split()
        assert word == "dashboard"
        token = (running.directory / "admin.token").read_text()
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=30) as client:
            browser = Browser(client)
            page = await browser.open(address)
            form = token_form(page)
            headers = {"Sec-Fetch-Site": "same-origin"}
            sent = {**dict(form.fields), "token": token}
            home = address.removesuffix("/ui")
            answer = await browser.post(home + form.action, sent, headers)
            assert answer.status_code == 200, answer.text
            assert str(answer.url) == address
            assert "Running now" in answer.text
            assert '<p class="where red">line 3</p>' in answer.text


async def test_the_link_that_up_prints_lets_somebody_in_once(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        assert running.process.stdout is not None
        await running.process.stdout.readline()
        said = (await running.process.stdout.readline()).decode().split()
        assert said[:2] == ["sign", "in"]
        address, _, code = said[2].partition("#")
        for status in (200, 401):
            async with httpx.AsyncClient(
                trust_env=False, follow_redirects=True, timeout=30
            ) as client:
                browser = Browser(client)
                form = (await browser.open(address)).form("/login/link")
                sent = {**dict(form.fields), "code": code}
                answer = await browser.post(address, sent, {"Sec-Fetch-Site": "same-origin"})
                assert answer.status_code == status, answer.text
                assert code not in str(answer.url)
