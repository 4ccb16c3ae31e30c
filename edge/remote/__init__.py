"""The server's end of the protocol of remote workers: see docs/worker-protocol.md.

* `messages`, `wire`: what is said, and how it is read; `desk`: what the server decides when a
  worker speaks. These are pure.
* `carriers`: WebSocket and poll; `links`: who is connected here; `office`: what the desk decides,
  in the database; `recording`: ends of attempts, committed in groups.
* `dispatch`: tasks are claimed for workers and offered to them; `watch`: what time brings.
"""
