"""What a broker knows of tasks that are sent and not done: one question, two brokers.

Valkey keeps lists, which anybody may read, and Kombu notes in them what workers have taken. RabbitMQ shows nothing of a
message but to whoever takes it, so each is taken and given back; what a worker has, only workers know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from kombu.exceptions import ChannelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from celery import Celery

# Kombu keeps what a worker has taken but not acknowledged here.
_UNACKNOWLEDGED = "unacked"
_UNACKNOWLEDGED_INDEX = "unacked_index"
# What a worker says of a task that it runs or will run.
_HAS = ("active", "reserved")
# How long workers have to say what they have.
_ANSWER = 3.0
# AMQP's reply to who asks for a queue that there is not.
_NOT_FOUND = 404
# As the transports of Kombu call themselves.
_AMQP = "amqp"


class BrokerQueues(Protocol):
    """Tasks are named by Celery's ids."""

    def waiting(self, queues: Iterable[str]) -> set[str]:
        """What no worker has taken."""

    def taken(self, task_ids: set[str]) -> set[str]:
        """Those of them that were given to a worker, which may be dead by now."""

    def forget(self, task_id: str) -> None:
        """A worker that comes back must not find what it once took."""

    def errors(self) -> tuple[type[Exception], ...]:
        """What the broker's absence looks like."""


def broker_queues(app: Celery) -> BrokerQueues:
    """Of the broker that this cluster has."""
    with app.connection_for_read() as connection:
        is_amqp = connection.transport.driver_type == _AMQP
    return RabbitMqQueues(app) if is_amqp else ValkeyQueues(app)


def held_by_workers(app: Celery, task_ids: set[str]) -> set[str]:
    """What some worker says it has. Should one have been too busy to answer, Airflow lets only one of two begin.

    A worker that lost its connection drops what it had not begun, but remembers it, neither active nor reserved.
    """
    if not task_ids:
        return set()
    answers = app.control.inspect(timeout=_ANSWER).query_task(*task_ids) or {}
    states = {task_id: state for tasks in answers.values() for task_id, (state, _) in tasks.items()}
    return {task_id for task_id in task_ids if states.get(task_id) in _HAS}


class ValkeyQueues:
    """Lists, and a hash of what was taken from them."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def waiting(self, queues: Iterable[str]) -> set[str]:
        """What no worker has taken."""
        found: set[str] = set()
        with self._app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            for queue in queues:
                # Kombu has one list per priority.
                for priority in channel.priority_steps:
                    name = channel._q_for_pri(queue, priority)
                    found.update(_task_id(json.loads(message)) for message in channel.client.lrange(name, 0, -1))
        return found

    def taken(self, task_ids: set[str]) -> set[str]:
        """As Kombu has noted it; it stays so when the worker dies."""
        return task_ids & self._tags().keys()

    def forget(self, task_id: str) -> None:
        """Takes it from Kombu's notes."""
        tag = self._tags().get(task_id)
        if tag is None:
            return
        with self._app.connection_for_write() as connection:
            client = connection.default_channel.client
            client.hdel(_UNACKNOWLEDGED, tag)
            client.zrem(_UNACKNOWLEDGED_INDEX, tag)

    def errors(self) -> tuple[type[Exception], ...]:
        """Those of the result backend are the same."""
        return ()

    def _tags(self) -> dict[str, bytes]:
        """Delivery tags of the messages that workers have taken, by Celery's task id."""
        with self._app.connection_for_read() as connection:
            messages = connection.default_channel.client.hgetall(_UNACKNOWLEDGED)
        return {_task_id(json.loads(message)[0]): tag for tag, message in messages.items()}


class RabbitMqQueues:
    """Durable queues; what a worker took comes back by itself when its connection is gone."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def waiting(self, queues: Iterable[str]) -> set[str]:
        """Takes all that waits and gives it back, in its order: as many as Airflow's `parallelism`, in milliseconds."""
        with self._app.connection_for_read() as connection:
            return {task_id for queue in queues for task_id in self._seen(connection, queue)}

    def taken(self, task_ids: set[str]) -> set[str]:
        """As workers say: one that is dead has nothing."""
        return held_by_workers(self._app, task_ids)

    def forget(self, task_id: str) -> None:
        """Nothing is kept for a worker whose connection is gone."""

    def errors(self) -> tuple[type[Exception], ...]:
        """Of its connections and channels."""
        with self._app.connection_for_read() as connection:
            return (*connection.connection_errors, *connection.channel_errors)

    @staticmethod
    def _seen(connection: Any, queue: str) -> set[str]:
        """A closed channel gives back what was taken on it."""
        found: set[str] = set()
        channel = connection.channel()
        try:
            while (message := channel.basic_get(queue)) is not None:
                found.add(str((message.headers or {}).get("id", "")))
        except ChannelError as problem:
            # Its first message makes a queue.
            if getattr(problem, "reply_code", None) != _NOT_FOUND:
                raise
        finally:
            channel.close()
        return found


def _task_id(message: dict[str, Any]) -> str:
    return str(message.get("headers", {}).get("id", ""))
