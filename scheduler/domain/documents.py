"""Texts of YAML or JSON as trees of nodes."""

from scheduler.domain import json_documents
from scheduler.domain.nodes import LONGEST, Node, UnreadableDocument, node_of, plain

__all__ = ["Node", "UnreadableDocument", "load", "node_of", "plain"]


def load(text: str) -> list[Node]:
    """Every document of the text; raises UnreadableDocument.

    What begins like JSON is read as JSON. If it is none it may still be YAML in flow style, and
    if it is neither the complaint of the reader that got further is the one worth reading.
    """
    if len(text) > LONGEST:
        raise UnreadableDocument(f"longer than {LONGEST} characters: split the file")
    if not text.lstrip().startswith(("{", "[")):
        return _yaml(text)
    try:
        return [json_documents.load(text)]
    except UnreadableDocument as as_json:
        return _flow(text, as_json)


def _flow(text: str, as_json: UnreadableDocument) -> list[Node]:
    try:
        return _yaml(text)
    except UnreadableDocument as as_yaml:
        raise max(as_json, as_yaml, key=_reached) from None


def _yaml(text: str) -> list[Node]:
    from scheduler.domain import yaml_documents  # not loaded by whoever reads JSON alone

    return yaml_documents.load(text)


def _reached(fault: UnreadableDocument) -> int:
    return fault.mark.line if fault.mark else 0
