"""A FastAPI that enqueues workflows in DBOS: what a start over HTTP is measured against.

Its client only enqueues, as its documents recommend for a web server in front of workers, so that
nothing of the carrying out is on its bill. Where the database is comes from the environment.
"""

import os
from typing import Any

from dbos import DBOSClient, EnqueueOptions
from fastapi import FastAPI
from pydantic import BaseModel

DATABASE = "BENCH_DATABASE_URL"


class Start(BaseModel):
    type: str
    input: dict[str, Any] = {}


def create_app() -> FastAPI:
    app = FastAPI()
    client = DBOSClient(system_database_url=os.environ[DATABASE])

    @app.post("/runs", status_code=201)
    def start(wish: Start) -> dict[str, str]:
        options: EnqueueOptions = {"queue_name": "bench", "workflow_name": wish.type}
        return {"id": client.enqueue(options, wish.input).get_workflow_id()}

    return app
