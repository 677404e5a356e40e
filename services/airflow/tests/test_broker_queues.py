"""What waits in a broker, asked of a real Valkey and a real RabbitMQ; and what RabbitMQ keeps to itself."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import harness
import pytest
from brokers import PORTS, Broker, running
from kombu.exceptions import OperationalError

from updraft_airflow.broker_queues import RabbitMqQueues, ValkeyQueues

if TYPE_CHECKING:
    from collections.abc import Iterator

@pytest.fixture(scope="module", params=PORTS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    yield from running(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    yield from running("rabbitmq", tmp_path_factory.mktemp("rabbit"))


def test_what_waits_is_seen_queue_by_queue(broker: Broker) -> None:
    assert isinstance(broker.queues, RabbitMqQueues if broker.port == PORTS["rabbitmq"] else ValkeyQueues)
    some, others = broker.send("some", 3), broker.send("others", 1)
    assert broker.queues.waiting({"some"}) == set(some)
    assert broker.queues.waiting({"some", "others", "never-used"}) == {*some, *others}


def test_what_waits_survives_a_killed_broker(broker: Broker) -> None:
    sent = set(broker.send("kept", 3))
    broker.go_away()
    with pytest.raises((*broker.queues.errors(), OperationalError, OSError)):
        broker.queues.waiting({"kept"})
    broker.start()
    assert broker.queues.waiting({"kept"}) == sent


def test_to_look_at_what_waits_leaves_its_order(rabbit: Broker) -> None:
    sent = rabbit.send("order", 4)
    assert rabbit.queues.waiting({"order"}) == set(sent)
    with rabbit.app.connection_for_read() as connection:
        channel = connection.channel()
        assert [rabbit.take(channel, "order") for _ in sent] == sent


def test_what_a_worker_took_waits_again_once_its_connection_is_gone(rabbit: Broker) -> None:
    (sent,) = rabbit.send("taken", 1)
    with rabbit.app.connection_for_read() as connection:
        assert rabbit.take(connection.channel(), "taken") == sent
        assert rabbit.queues.waiting({"taken"}) == set()
    harness.wait_for("the task to wait again", lambda: rabbit.queues.waiting({"taken"}) == {sent}, 10)


def test_rabbitmq_listens_for_the_cluster_alone_and_takes_nothing_but_its_password(rabbit: Broker) -> None:
    assert listening(rabbit.node.processes["broker"].pid) == {(rabbit.address, 5672)}, "no epmd, no distribution"
    for user in ("guest:guest", "airflow:another", "airflow:"):
        stranger = Broker.app_for(f"amqp://{user}@{rabbit.address}:5672//")
        connection = stranger.connection_for_read()
        # Which of them depends on whether the broker's word or the end of the connection is read first.
        with connection, pytest.raises(connection.connection_errors + connection.channel_errors):
            connection.connect()
    password = rabbit.node.variables["broker_password"]
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in shown if password.encode() in line]


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports that a process has sockets for which wait for connections."""
    held = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                address, port = fields[1].split(":")
                shown = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else address
                found.add((shown, int(port, 16)))
    return found
