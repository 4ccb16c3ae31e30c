"""The workstation's end: see `edge`."""
