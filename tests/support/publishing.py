"""Types and runs as people make them, at a server in this process."""

from typing import Any
from uuid import UUID

from tests.support.gateways import Served


async def publish(served: Served, text: str) -> None:
    answer = await served.api.post(
        "/process-types", content=text, headers={"Content-Type": "application/yaml"}
    )
    assert answer.is_success, answer.text[:500]


async def start(served: Served, type: str, **more: Any) -> UUID:
    answer = await served.api.post("/runs", json={"type": type, **more})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])
