"""The workstation's own page: the station page of the dashboard, drawn by the agent itself.

It is there when the owner's policy says at which address, whether or not the server is. What it
shows and does it asks of the agent as everybody else on the machine does; templates are loaded when
somebody first looks.
"""
