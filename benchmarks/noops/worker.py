"""Serves an action that does nothing: `worker.py ACTION SLOTS`."""

import sys

from procession import Worker

if __name__ == "__main__":
    action, slots = sys.argv[1], int(sys.argv[2])
    Worker(name="noops-python", slots=slots).register(action, lambda payload: payload).start()
