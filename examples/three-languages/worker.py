"""Serves one action of the order, in Python."""

from procession import Worker


def main() -> None:
    worker = Worker()

    worker.register("generate-invoice", lambda payload: f"PDF Generated for: {payload}")

    worker.start()


if __name__ == "__main__":
    main()
