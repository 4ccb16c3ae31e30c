"""Runs that the workstation itself decides about, with or without a server.

The board is the server's own (`scheduler.domain.board`); what differs is where its rows lie and who
asks it. `ledger` is the rows, in the database of the agent's book, so that a decision and what the
server is told of it are one transaction. `engine` is whom all else asks; one `Decision` is all that
follows from one thing that happened. Commands are begun and steered by the same effects as those
that the server has claimed. Nothing here has a clock, a socket or a process.
"""
