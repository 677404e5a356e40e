"""Which file of tests goes to which shard: one pytest with an installation of its own, beside the others.

What is known of files' times only balances: a file that is missing here goes somewhere by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# What a file takes on two cores, where it is more than `USUAL`.
SECONDS = {
    "test_browser": 230,
    "test_replace": 220,
    "test_kill": 200,
    "test_own_packages": 170,
    "test_hibernation": 130,
    "test_sso": 120,
    "test_environments": 90,
    "test_resume": 70,
    "test_shared_host": 65,
    "test_up": 55,
    "test_control_away": 50,
    "test_rabbitmq": 50,
    "test_power": 40,
    "test_logs": 30,
    "test_passwords": 30,
    "test_tokens": 30,
    "test_tunnels": 30,
}
USUAL = 10
# One shard for both: the first looks on the whole machine for what the second's bad packages try to leave there.
TOGETHER = {"test_bad_changes": "test_environments"}


def shards_of(files: Iterable[str], shards: int) -> dict[str, int]:
    """Each file's shard, counted from 1: the longest first, each to whoever has least to do. Whoever divides the same
    files, in whatever order, comes to the same.
    """
    groups: dict[str, set[str]] = {}
    for file in files:
        groups.setdefault(TOGETHER.get(file, file), set()).add(file)
    takes = {group: sum(SECONDS.get(file, USUAL) for file in members) for group, members in groups.items()}
    busy = [0] * shards
    chosen = {}
    for group in sorted(groups, key=lambda group: (-takes[group], group)):
        least = busy.index(min(busy))
        busy[least] += takes[group]
        chosen.update(dict.fromkeys(groups[group], least + 1))
    return chosen
