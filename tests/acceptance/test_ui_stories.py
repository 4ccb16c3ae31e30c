"""What people do on the dashboard, in a real browser: with its script, and without."""

import re

import pytest
from playwright.async_api import expect

from scheduler.services.access import Role
from tests.acceptance.conftest import Visit

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])


@BOTH
async def test_somebody_comes_in_looks_around_and_goes_out(visit: Visit, scripts: bool) -> None:
    viewer = await visit(Role.VIEWER, scripts=scripts)
    page = viewer.page
    await expect(page.get_by_role("heading", name="Now", level=1)).to_be_visible()
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Runs").click()
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    await page.locator("details.who summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    await page.goto(f"{viewer.url}/ui/runs")
    await expect(page).to_have_url(re.compile("/ui/login"))
