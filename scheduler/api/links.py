"""What can be done next with what an answer shows: the links of openapi.yaml."""

from collections.abc import Mapping
from typing import Any

from scheduler.api.documents import Responses


def to(operations: Mapping[str, str], **parameters: str) -> dict[str, Any]:
    """A link to each operation, which takes what the answer holds under these names."""
    return {
        name: {
            "operationId": name,
            "description": description,
            "parameters": {each: f"$response.body#/{where}" for each, where in parameters.items()},
        }
        for name, description in operations.items()
    }


RUN = {
    "get_run": "Show the run, or wait for its end.",
    "list_run_tasks": "List its tasks.",
    "list_run_events": "List its history.",
    "explain_run": "Say why it does not go on.",
    "change_run": "Give it other labels or another priority.",
    "hold_run": "Begin nothing more of it.",
    "resume_run": "Let it go on.",
    "stop_run": "Stop it.",
    "retry_run": "Open a new round of it, once it has failed or was stopped.",
}
RECORD = {
    "get_process_record": "Show the record.",
    "replace_process_record": "Replace what may be said of it.",
    "change_process_record": "Change parts of it.",
    "start_process_record": "Start a run of it.",
    "restart_process_record": "Stop its run and start another.",
    "stop_process_record": "Stop its run.",
    "list_process_record_runs": "List its runs.",
    "delete_process_record": "Delete it.",
}
TYPE = {
    "get_process_type": "Show the type.",
    "list_process_type_versions": "List its versions.",
    "retire_process_type": "Let nothing more of it be started.",
    "reinstate_process_type": "Let it be started again.",
}
SELECTION = {
    "get_dead_letter_selection": "Show how far it has come.",
    "redrive_dead_letter_selection": "Take up what it holds.",
    "discard_dead_letter_selection": "Close what it holds for good.",
}
RUN_SELECTION = {
    "get_run_selection": "Show how far it has come.",
    "list_selected_runs": "List what it holds.",
    "hold_run_selection": "Begin nothing more of all it holds.",
    "resume_run_selection": "Let all it holds go on.",
    "stop_run_selection": "Stop all it holds.",
    "retry_run_selection": "Open a new round of all it holds.",
    "end_run_selection": "Leave those that are left as they are.",
}

OF_A_NEW_RUN: Responses = {201: {"links": to(RUN, run="id")}}
OF_A_RUN: Responses = {200: {"links": to(RUN, run="id")}}
OF_A_NEW_RECORD: Responses = {201: {"links": to(RECORD, record="id")}}
OF_A_TYPE: Responses = {200: {"links": to(TYPE, name="items/0/name")}}
OF_A_SELECTION: Responses = {201: {"links": to(SELECTION, selection="id")}}
OF_A_RUN_SELECTION: Responses = {201: {"links": to(RUN_SELECTION, selection="id")}}


def joined(*responses: Responses) -> Responses:
    """All that is said of each status."""
    found: Responses = {}
    for each in responses:
        for status, said in each.items():
            found[status] = {**found.get(status, {}), **said}
    return found
