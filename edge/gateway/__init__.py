"""The server's end of the protocol: what `edge.desk` decides, in the database and on the wire.

* `frames`: one transaction for each frame that a workstation sends; `recording`: what becomes of
  runs by it.
* `dispatch`: tasks are claimed for workstations and offered to them; `invocations`: with their
  secrets sealed.
* `streams`: who is connected here, and what is known of them without asking the database.
* `carriers`: WebSocket and HTTP; `watch`: what nobody says, and time brings.
"""
