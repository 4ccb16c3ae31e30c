"""Workstations: how they and a server speak, and the agent that lives on one.

* `messages`: what is said, as plain values; `wire`: the same as text, checked when it is read.
* `identity`: keys, proofs and tokens.
* `agent`: the workstation's end. `core` decides, from what it is told and what time it is, what to
  keep, what to say and what to carry out; `book` is what it keeps, `store` the same on a disk;
  `policy` is what the owner of the machine allows. Nothing in `core` and `book` does I/O.
* `knocking`: how one that calls and one that is called prove who they are; `doors`: their sockets.
* `agent.peering`: what workstations say to each other, in `words` of their own; `agent.asking` and
  `agent.taking` decide at both ends, as purely; `agent.peers` and `agent.company` carry it out.
* `desk`: the server's end, as pure as that: what becomes of what it knows, and what it answers.

Carriers move frames between the two, and whoever moves them may lose, repeat and reorder them.
"""
