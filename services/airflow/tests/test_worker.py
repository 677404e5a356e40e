"""A real worker whose broker goes away under the tasks that it runs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import harness
import pytest
from brokers import PORTS, Broker, running

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS = 4


@pytest.fixture(params=PORTS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    yield from running(request.param, tmp_path / "broker")


class Worker:
    def __init__(self, broker: Broker, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "worker.log"
        (directory / "running").mkdir()
        command = [sys.executable, "-m", "celery", "--app", "held_tasks", "worker", "--concurrency", str(SLOTS)]
        environment = broker.node.environ(broker.node.runtime.service("worker"))
        package = Path(__file__).parents[1]
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment["PYTHONPATH"] = f"{package}:{package / 'tests'}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--queues", "held", "--loglevel", "info"], stdout=log, stderr=log, env=environment, cwd=directory
            )

    def connections(self) -> int:
        return self.log.read_text().count("Connected to")

    def runs(self) -> int:
        return len(list((self.directory / "running").iterdir()))


@pytest.fixture
def worker(broker: Broker, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(broker, tmp_path)
    try:
        yield worker
    finally:
        for until in ("first", "second"):
            (tmp_path / until).touch()
        worker.process.terminate()
        # Celery waits for half a minute where a connection to RabbitMQ was lost under its tasks.
        worker.process.wait(60)


def take_what_waits(broker: Broker) -> None:
    with broker.app.connection_for_read() as connection:
        channel = connection.channel()
        for _ in broker.queues.waiting({"held"}):
            channel.basic_ack(channel.basic_get("held").delivery_tag)


def test_a_worker_whose_broker_was_away_uses_every_slot_as_soon_as_its_task_ends(
    broker: Broker, worker: Worker, tmp_path: Path
) -> None:
    def send(until: str) -> set[str]:
        return {broker.app.send_task("held", (str(tmp_path), until), queue="held").id for _ in range(SLOTS)}

    send("first")
    harness.wait_for("all slots are used", lambda: worker.runs() == SLOTS)
    broker.go_away()
    broker.start()
    harness.wait_for("the worker is back", lambda: worker.connections() == 2)
    # The broker gives anew what runs already: to this worker one, as it has no slot, the others to another worker.
    time.sleep(3)
    take_what_waits(broker)
    later = send("second")
    time.sleep(3)
    assert worker.runs() == SLOTS
    assert len(later & broker.queues.waiting({"held"})) >= SLOTS - 1, "others could have them"
    (tmp_path / "first").touch()
    harness.wait_for("all slots are used again", lambda: later.isdisjoint(broker.queues.waiting({"held"})), 10)
    harness.wait_for("by those that came later", lambda: worker.runs() == SLOTS, 10)
