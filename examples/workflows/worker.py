"""Serves all of them: `python worker.py`, with PROCESSION_URL and PROCESSION_TOKEN."""

from accounts import transfer
from family import campaign, survey
from machine import machine
from moments import index, nightly, reminder
from queues import mail
from shop import order, payment

from procession import Worker

if __name__ == "__main__":
    Worker(name="workflows").serve(
        order, payment, mail, nightly, index, reminder, campaign, survey, machine, transfer
    ).start()
