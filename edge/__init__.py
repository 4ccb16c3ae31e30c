"""Workstations: how they and a server speak, and the agent that lives on one.

* `messages`: what is said, as plain values; `wire`: the same as text, checked when it is read.
* `agent`: the workstation's end. `core` decides, from what it is told and what time it is, what to
  keep, what to say and what to carry out; `book` is what it keeps; nothing in them does I/O.
* `desk`: the server's end, as pure as that: what becomes of what it knows, and what it answers.

Carriers move frames between the two, and whoever moves them may lose, repeat and reorder them.
"""
