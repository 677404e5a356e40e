"""A real Valkey or RabbitMQ as a scheduler's node has it, and Celery as Updraft sets it up."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from celery import Celery

from updraft_airflow.broker_queues import BrokerQueues, broker_queues

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {"valkey": 6379, "rabbitmq": 5672}


class Broker:
    """One broker, and Celery as the scheduler sets it up."""

    def __init__(self, name: str, directory: Path) -> None:
        self.port = PORTS[name]
        self.address = harness.free_address()
        runtime = harness.Runtime(broker=name)
        variables = harness.cluster_variables(directory, "postgresql://nobody@127.0.0.1:1/nothing", self.address)
        self.node = harness.Node(Path("/nowhere"), runtime, self.address, directory / "node", variables)
        worker = self.node.environ(runtime.service("worker"))
        self.url = worker["AIRFLOW__CELERY__BROKER_URL"]
        self.app = self.app_for(self.url)
        self.queues: BrokerQueues = broker_queues(self.app)

    @staticmethod
    def app_for(url: str) -> Celery:
        app = Celery("updraft", broker=url, backend="cache+memory://")
        app.conf.update(task_ignore_result=True, broker_connection_timeout=5)
        if url.startswith("amqp:"):
            app.conf.broker_transport_options = {"confirm_publish": True}
        return app

    def start(self) -> None:
        self.node.start("broker")
        harness.wait_for("the broker", lambda: harness.listens(self.address, self.port))

    def go_away(self) -> None:
        """As suddenly as it may without losing anything: Valkey writes once a second what came, RabbitMQ before it says
        that it has it."""
        process = self.node.processes["broker"]
        if self.port == PORTS["valkey"]:
            process.terminate()
        else:
            harness.kill_group(process.pid, signal.SIGKILL)
        process.wait(20)

    def send(self, queue: str, count: int) -> list[str]:
        return [self.app.send_task("work", queue=queue, retry=True).id for _ in range(count)]

    def take(self, channel: Any, queue: str) -> str:
        """As a worker takes: acknowledged when it is done."""
        return str(channel.basic_get(queue).headers["id"])


def running(name: str, directory: Path) -> Iterator[Broker]:
    broker = Broker(name, directory)
    try:
        broker.start()
        yield broker
    finally:
        broker.node.stop()
