"""A cluster on four hosts of the test data centre: every line from user data to a DAG run is executed for real."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS
from harness.on_hosts import TUNNELS, OnHosts
from harness.user_data import AGENT, REPOSITORY, UNIT, packed
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.airflow import Airflow
    from harness.rest import Rest

pytestmark = [pytest.mark.root_only, pytest.mark.soak]

NAME, KEPT, DYING, BUSY = "four", "kept", "dying", "busy"
# Airflow notices a lost task after so many seconds instead of 300. A web host needs a third of that to be back.
QUICK = {"scheduler.task_instance_heartbeat_timeout": "60"}
# By role: what happens to a node's host, and what EC2 has to say of it.
HARMS = [
    ("web", "lose-power"),
    ("scheduler", "lose-power"),
    ("worker", "lose-power"),
    ("worker", "reclaim"),
    ("worker", "freeze"),
    ("worker", "part"),
    ("scheduler", "freeze"),
    ("scheduler", "part"),
    ("scheduler", "fail-checks"),
    ("worker", "fail-checks"),
]
# So long a check has to fail, and some.
FAILING_MINUTES = 6
SAMPLE = (REPOSITORY / "infra/sample-dags/hello_updraft.py").read_text()
RESULTS = Path(__file__).parents[1] / "results" / "data_centre.jsonl"


@pytest.fixture(scope="module")
def updraft() -> Iterator[OnHosts]:
    with OnHosts() as updraft:
        updraft.centre.ask("outbound-only")
        yield updraft
        assert updraft.centre.ask("connections-tried") == 0, "control and edge never connect to a host"


def note(what: str, **seconds: Any) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as results:
        results.write(json.dumps({"what": what, **seconds}) + "\n")


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    note(what, seconds=round(time.monotonic() - began, 1))


def instances(updraft: OnHosts) -> list[dict[str, Any]]:
    pages = updraft.centre.ec2().get_paginator("describe_instances").paginate()
    found = [one for page in pages for those in page["Reservations"] for one in those["Instances"]]
    return [one for one in found if one["State"]["Name"] != "terminated"]


def groups(updraft: OnHosts) -> list[dict[str, Any]]:
    """Those that Updraft made."""
    found = updraft.centre.ec2().describe_security_groups()["SecurityGroups"]
    return [one for one in found if any(tag["Key"] == "updraft:cluster" for tag in one.get("Tags", []))]


# What the host of a node does before its agent, and that.
UNITS = [
    "cloud-init-local",
    "systemd-networkd-wait-online",
    "cloud-init",
    "cloud-config",
    "cloud-final",
    "updraft-agent",
]


def seconds_of_web_node(updraft: OnHosts, cluster: int) -> dict[str, tuple[float, float]]:
    """Of its host's units and the operation's steps: from when to when, since its instance was launched."""
    steps = {step["id"]: step for step in updraft.rest.items(f"clusters/{cluster}/operations")[0]["steps"]}
    launched = at(steps["web-1/launch"]["finished_at"])
    spans = {
        name: (at(step["started_at"]), at(step["finished_at"])) for name, step in steps.items() if "web-1/" in name
    }
    web = next(node for node in updraft.rest.items(f"clusters/{cluster}/nodes") if node["role"] == "web")
    host = next(one for one in instances(updraft) if one["PrivateIpAddress"] == web["address"])["InstanceId"]
    first = since_boot(updraft, host, "UserspaceTimestampMonotonic")
    spans["first process"] = (first, first)
    for unit in UNITS:
        began = since_boot(updraft, host, "ExecMainStartTimestampMonotonic", unit)
        spans[unit] = (began, since_boot(updraft, host, "ExecMainExitTimestampMonotonic", unit) or began)
    ordered = sorted(spans.items(), key=lambda named: named[1])
    return {name: (round(begin - launched, 1), round(end - launched, 1)) for name, (begin, end) in ordered}


def since_boot(updraft: OnHosts, host: str, what: str, *unit: str) -> float:
    """When that was: hosts have this machine's clocks. 0: it was not yet."""
    told = updraft.centre.inside(host, "systemctl", "show", "--value", "--property", what, *unit)
    microseconds = int(told.strip() or 0)
    return time.time() - time.monotonic() + microseconds / 1e6 if microseconds else 0


def at(moment: str) -> float:
    return datetime.fromisoformat(re.sub(r"\.(\d{6})\d*", r".\1", moment.replace("Z", "+00:00"))).timestamp()


def run_sample(updraft: OnHosts, cluster: int) -> None:
    """Through edge and tunnel."""
    with timed("Airflow's page answers"):
        airflow = wait_for("Airflow answers", lambda: updraft.airflow(cluster), 60)
    assert airflow is not None
    with timed("a DAG run"):
        run = airflow.trigger("hello_updraft")
        assert airflow.wait_for_run("hello_updraft", run) == "success"


def test_a_cluster_on_four_hosts_is_made_used_stopped_started_and_gone(updraft: OnHosts) -> None:
    rest = updraft.rest
    with timed("create, until it runs"):
        cluster = rest.post("clusters", {"name": NAME, "workers": 2})["cluster"]["id"]
        updraft.add_dag(NAME, "hello_updraft.py", SAMPLE)
        rest.wait_for_phase(NAME, "running", 300)
    note("each second of the web node", **seconds_of_web_node(updraft, cluster))
    nodes = rest.items(f"clusters/{cluster}/nodes")
    assert sorted(node["role"] for node in nodes) == ["scheduler", "web", "worker", "worker"]
    on_hosts = {one["PrivateIpAddress"] for one in instances(updraft)}
    assert {node["address"] for node in nodes} == on_hosts
    assert len(on_hosts) == 4
    [group] = groups(updraft)
    interfaces = [one for instance in instances(updraft) for one in instance["NetworkInterfaces"]]
    has = [[one["GroupId"] for one in interface["Groups"]] for interface in interfaces]
    assert has == [[group["GroupId"]]] * 4, "the cluster's hosts are in its own group, and in no other"
    run_sample(updraft, cluster)

    with timed("stop"):
        rest.post(f"clusters/{cluster}/stop")
        rest.wait_for_phase(NAME, "stopped", 300)
    with timed("start, until it runs"):
        rest.post(f"clusters/{cluster}/start")
        rest.wait_for_phase(NAME, "running", 300)
    run_sample(updraft, cluster)

    with timed("delete"):
        rest.ask("DELETE", f"clusters/{cluster}")
        wait_for("the cluster is gone", lambda: NAME not in [one["name"] for one in rest.items("clusters")], 300)
    nothing_is_left(updraft)
    everyone = {group["GroupId"] for group in updraft.centre.ec2().describe_security_groups()["SecurityGroups"]}
    assert everyone >= set(updraft.centre.world["security_groups"]), "nobody else's is touched"


def test_a_stopped_clusters_hosts_are_kept_and_say_what_they_said_while_they_booted(updraft: OnHosts) -> None:
    rest = updraft.rest
    with timed("create, until it runs, to be kept"):
        cluster = rest.post("clusters", {"name": KEPT, "workers": 2, "on_stop": "keep"})["cluster"]["id"]
        updraft.add_dag(KEPT, "hello_updraft.py", SAMPLE)
        rest.wait_for_phase(KEPT, "running", 300)
    hosts = {one["InstanceId"] for one in instances(updraft)}
    with timed("stop, hosts are kept"):
        rest.post(f"clusters/{cluster}/stop")
        rest.wait_for_phase(KEPT, "stopped", 300)
    wait_for("they stand still", lambda: [one["State"]["Name"] for one in instances(updraft)] == ["stopped"] * 4, 60)
    with timed("start of kept hosts, until it runs"):
        rest.post(f"clusters/{cluster}/start")
        rest.wait_for_phase(KEPT, "running", 300)
    assert {one["InstanceId"] for one in instances(updraft)} == hosts
    run_sample(updraft, cluster)
    for node in rest.items(f"clusters/{cluster}/nodes"):
        said = rest.get(f"clusters/{cluster}/nodes/{node['id']}/boot-log")
        assert node["has_boot_log"] and said["text"].rstrip().endswith("booted"), said
    rest.ask("DELETE", f"clusters/{cluster}")
    wait_for("the cluster is gone", lambda: KEPT not in [one["name"] for one in rest.items("clusters")], 300)
    nothing_is_left(updraft)


# What EC2 does to each of these: an answer that never comes, requests that are too many, and its own faults.
TROUBLE = ["RunInstances", "StopInstances", "StartInstances", "TerminateInstances", "DescribeInstances"]
# Seconds for which control is let run before it is killed, again and again, until the operation is done.
LIVES = (1.5, 2.5, 4, 6, 9)


def test_control_is_killed_and_ec2_fails_while_a_cluster_is_made_changed_stopped_and_deleted(updraft: OnHosts) -> None:
    rest = updraft.rest
    with trouble(updraft):
        cluster = rest.post("clusters", {"name": DYING, "workers": 1})["cluster"]["id"]
        survive(updraft, "create", lambda: rest.phase(DYING) == "running")
        assert len(instances(updraft)) == 3
    with trouble(updraft):
        spec = rest.cluster(DYING)
        changed = rest.ask("PATCH", f"clusters/{cluster}", {"workers": 2}, {"If-Match": f'"{spec["generation"]}"'})
        assert changed.status == 202, changed.text
        survive(updraft, "update", lambda: rest.cluster(DYING)["operation"] is None)
        assert len(instances(updraft)) == 4
    with trouble(updraft):
        rest.post(f"clusters/{cluster}/stop")
        survive(updraft, "stop", lambda: rest.phase(DYING) == "stopped")
    with trouble(updraft):
        rest.post(f"clusters/{cluster}/start")
        survive(updraft, "start", lambda: rest.phase(DYING) == "running")
        assert len(instances(updraft)) == 4
    updraft.add_dag(DYING, "hello_updraft.py", SAMPLE)
    run_sample(updraft, cluster)
    with trouble(updraft):
        rest.ask("DELETE", f"clusters/{cluster}")
        survive(updraft, "delete", lambda: DYING not in [one["name"] for one in rest.items("clusters")])
    nothing_is_left(updraft)


@contextmanager
def trouble(updraft: OnHosts) -> Iterator[None]:
    """An operation during which EC2 shows what it made only later, loses answers, throttles and fails."""
    updraft.centre.ask("pace", listed_after=5)
    for action in TROUBLE:
        updraft.centre.ask("fault", action=action, answer_lost=True)
        updraft.centre.ask("fault", action=action, code="RequestLimitExceeded", status=503, times=2)
        updraft.centre.ask("fault", action=action)
    yield
    updraft.centre.ask("no-faults")
    updraft.centre.ask("pace", listed_after=0.2)


def survive(updraft: OnHosts, what: str, is_done: Callable[[], bool]) -> None:
    """Control dies several times before what was asked of it is done."""
    began, deaths = time.monotonic(), 0
    for seconds in LIVES:
        # No condition is waited for: a moment is what is wanted, whatever control is about.
        time.sleep(seconds)
        if answers(is_done):
            break
        updraft.control.kill()
        updraft.control.start()
        deaths += 1
    wait_for(f"{what} is done", lambda: answers(is_done), 300)
    note(f"{what}, control killed", deaths=deaths, seconds=round(time.monotonic() - began, 1))
    assert deaths > 0, "it was done before control was killed: nothing was shown"


def answers(is_done: Callable[[], bool]) -> bool:
    """Not while control begins."""
    try:
        return is_done()
    except OSError:
        return False


def nothing_is_left(updraft: OnHosts) -> None:
    """EC2 lists what ended for an hour; a group goes once nothing is in it any more."""
    ec2 = updraft.centre.ec2()
    assert instances(updraft) == []
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    wait_for("its group is gone", lambda: groups(updraft) == [], 60)


# Seconds of a task that is there before agents are replaced, and after.
OUTLASTS = 240
# Seconds of a reclaimed host; EC2 gives 120.
NOTICE = 30
# Seconds of requests while one edge of two is gone.
EDGE_IS_GONE = 5
# Seconds: less than after which a node counts as lost, or a task as dead.
OUT_OF_REACH = 20


@pytest.fixture(scope="module")
def busy(updraft: OnHosts) -> Airflow:
    """A cluster that is there for the rest of this file."""
    spec = {"name": BUSY, "workers": 2, "worker_concurrency": 10, "config": QUICK}
    cluster = updraft.rest.post("clusters", spec)["cluster"]["id"]
    updraft.add_dag(BUSY, "twenty.py", (DAGS / "twenty.py").read_text())
    updraft.rest.wait_for_phase(BUSY, "running", 300)
    return updraft.airflow(cluster)


@pytest.mark.parametrize(("role", "harm"), HARMS)
def test_a_node_is_replaced_and_no_task_is_lost(updraft: OnHosts, busy: Airflow, role: str, harm: str) -> None:
    rest, cluster = updraft.rest, updraft.rest.cluster(BUSY)["id"]
    run = busy.trigger("twenty")
    wait_for("twenty tasks run", lambda: states(busy, run).count("running") == 20, 120)
    # The broker is on the scheduler's node: what waits in it has to be there again.
    waiting = busy.trigger("twenty") if role == "scheduler" else None
    if waiting:
        # A scheduler has 32 at once (`core.parallelism`).
        wait_for("more are queued", lambda: states(busy, waiting).count("queued") >= 10, 60)
    victim = next(node for node in rest.items(f"clusters/{cluster}/nodes") if node["role"] == role)
    on_victim = {task["map_index"] for task in busy.tasks("twenty", run) if task["hostname"] == victim["address"]}
    assert len(on_victim) == (10 if role == "worker" else 0)
    host = next(one for one in instances(updraft) if one["PrivateIpAddress"] == victim["address"])["InstanceId"]

    if harm == "fail-checks":
        updraft.centre.fail_checks(host, FAILING_MINUTES)
    else:
        updraft.centre.befall(host, harm, seconds=NOTICE)
    began = time.monotonic()
    wait_for("it is noticed", lambda: rest.phase(BUSY) != "running" or victim["id"] not in node_ids(rest, cluster), 300)
    noticed = round(time.monotonic() - began, 1)
    rest.wait_for_phase(BUSY, "running", 300)
    healthy = round(time.monotonic() - began, 1)
    assert busy.wait_for_run("twenty", run, 600) == "success"
    again = tried_again(busy, run)
    note(
        f"{role} {harm}",
        noticed=noticed,
        healthy=healthy,
        done=round(time.monotonic() - began, 1),
        tried_again=len(again),
    )
    assert again <= on_victim, "a task outlives the nodes that it does not run on"
    assert not again or harm != "fail-checks", "a machine that still works is drained first"
    if waiting:
        assert busy.wait_for_run("twenty", waiting, 600) == "success", "what was queued is queued again"
        assert tried_again(busy, waiting) == set()
    wait_for(
        "there are four hosts", lambda: [one["State"]["Name"] for one in instances(updraft)] == ["running"] * 4, 120
    )
    # A host that has its disk is started again, any other is replaced; control looks at EC2's list each 5 s.
    wait_for("control knows", lambda: (victim["id"] in node_ids(rest, cluster)) == (harm == "lose-power"), 30)


@pytest.mark.parametrize("role", ["worker", "scheduler", "web"])
def test_a_host_that_is_out_of_reach_for_a_moment_is_not_replaced(updraft: OnHosts, busy: Airflow, role: str) -> None:
    rest, cluster = updraft.rest, updraft.rest.cluster(BUSY)["id"]
    nodes = node_ids(rest, cluster)
    run = busy.trigger("twenty")
    wait_for("twenty tasks run", lambda: states(busy, run).count("running") == 20, 120)
    victim = next(node for node in rest.items(f"clusters/{cluster}/nodes") if node["role"] == role)
    host = next(one for one in instances(updraft) if one["PrivateIpAddress"] == victim["address"])["InstanceId"]
    updraft.centre.befall(host, "part")
    time.sleep(OUT_OF_REACH)
    updraft.centre.befall(host, "join")
    began = time.monotonic()
    assert busy.wait_for_run("twenty", run, 600) == "success"
    again = tried_again(busy, run)
    note(f"{role} out of reach", done=round(time.monotonic() - began, 1), tried_again=len(again))
    assert again == set(), "no task is lost with it"
    assert (rest.phase(BUSY), node_ids(rest, cluster)) == ("running", nodes)


def test_a_queue_of_another_instance_type_comes_with_its_first_task_and_goes(updraft: OnHosts, busy: Airflow) -> None:
    rest, cluster = updraft.rest, updraft.rest.cluster(BUSY)["id"]
    updraft.add_dag(BUSY, "heavy.py", (DAGS / "heavy.py").read_text())
    heavy = {"name": "heavy", "concurrency": 1, "min": 0, "max": 1, "instance_type": "r6i.large"}
    change_queues(rest, [heavy])
    assert of_queue(updraft, "heavy") == []
    run = busy.trigger("heavy")
    with timed("the first task of an empty queue brings a worker"):
        [host] = wait_for("its task brings a worker", lambda: of_queue(updraft, "heavy"), 60)
    assert host["InstanceType"] == "r6i.large"
    assert busy.wait_for_run("heavy", run, 300) == "success"
    assert tried_again(busy, run, "heavy") == set()
    wait_for("its worker goes when it's needed no more", lambda: of_queue(updraft, "heavy") == [], 180)
    assert rest.phase(BUSY) == "running"
    assert {node["role"] for node in rest.items(f"clusters/{cluster}/nodes")} == {"scheduler", "web", "worker"}
    change_queues(rest, [])


def change_queues(rest: Rest, queues: list[dict[str, Any]]) -> None:
    busy = rest.cluster(BUSY)
    generation = {"If-Match": f'"{busy["generation"]}"'}
    answer = rest.ask("PATCH", f"clusters/{busy['id']}", {"worker_queues": queues}, generation)
    assert answer.status == 202, answer.text
    wait_for("the change is done", lambda: rest.cluster(BUSY)["operation"] is None, 300)


def of_queue(updraft: OnHosts, queue: str) -> list[dict[str, Any]]:
    tag = {"Key": "updraft:queue", "Value": queue}
    return [one for one in instances(updraft) if tag in one["Tags"]]


def tried_again(airflow: Airflow, run: str, dag: str = "twenty") -> set[int]:
    return {task["map_index"] for task in airflow.tasks(dag, run) if task["try_number"] > 1}


@pytest.mark.parametrize("when", ["while they run", "before they start"])
def test_a_slow_worker_is_not_taken_for_dead(updraft: OnHosts, busy: Airflow, when: str) -> None:
    """It has a quarter of a core, and each packet takes a tenth of a second longer, each way."""
    rest, cluster = updraft.rest, updraft.rest.cluster(BUSY)["id"]
    nodes = node_ids(rest, cluster)
    victim = next(node for node in rest.items(f"clusters/{cluster}/nodes") if node["role"] == "worker")
    host = next(one for one in instances(updraft) if one["PrivateIpAddress"] == victim["address"])["InstanceId"]
    if when == "before they start":
        updraft.centre.befall(host, "slow")
    run = busy.trigger("twenty")
    if when == "while they run":
        wait_for("twenty tasks run", lambda: states(busy, run).count("running") >= 18, 120)
        updraft.centre.befall(host, "slow")
    began = time.monotonic()
    assert busy.wait_for_run("twenty", run, 600) == "success"
    again = tried_again(busy, run)
    note(f"worker slow {when}", done=round(time.monotonic() - began, 1), tried_again=len(again))
    updraft.centre.befall(host, "quicken")
    assert again == set(), "no task is lost with it"
    assert (rest.phase(BUSY), node_ids(rest, cluster)) == ("running", nodes)


def test_one_of_two_edges_is_killed_and_the_other_serves_on(updraft: OnHosts, busy: Airflow) -> None:
    cluster = updraft.rest.cluster(BUSY)["id"]
    wait_for("each holds two tunnels", lambda: [tunnels(one) for one in (1, 2)] == [2, 2], 60)
    killed, other = updraft.edges
    killed.kill()
    began = time.monotonic()
    while time.monotonic() - began < EDGE_IS_GONE:
        assert busy.ask("GET", "version").status == 200, "the balancer has one that serves"
    assert tunnels(2) >= 2, "the other's tunnels stay"
    killed.start()
    began = time.monotonic()
    wait_for("it has its tunnels again", lambda: tunnels(1) == 2, 30)
    note("a killed edge has its tunnels again", seconds=round(time.monotonic() - began, 1))
    other.kill()
    wait_for("it serves alone", lambda: updraft.airflow(cluster).ask("GET", "version").status == 200, 10)
    other.start()
    wait_for("each holds two tunnels", lambda: [tunnels(one) for one in (1, 2)] == [2, 2], 60)


def tunnels(edge: int) -> int:
    """Connections that it has accepted, by the kernel's table."""
    port, established = f":{TUNNELS + edge:04X}", "01"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == established for row in rows)


def test_every_node_gets_another_agent_and_the_tasks_that_run_notice_nothing(updraft: OnHosts, busy: Airflow) -> None:
    rest, cluster = updraft.rest, updraft.rest.cluster(BUSY)["id"]
    updraft.add_dag(BUSY, "outlasts.py", (DAGS / "outlasts.py").read_text())
    run = busy.trigger("outlasts", {"seconds": OUTLASTS})
    wait_for("its tasks run", lambda: states(busy, run, "outlasts") == ["running"] * 4, 120)
    nodes, hosts = node_ids(rest, cluster), {one["InstanceId"] for one in instances(updraft)}

    began = time.monotonic()
    # The same program in another archive.
    wanted = updraft.name_agent(packed("updraft-agent", AGENT.read_bytes(), *UNIT, REPOSITORY / "LICENSE"))
    wait_for("control answers", lambda: rest.phase(BUSY), 60)
    wait_for("every node says that its agent is the new one", lambda: agents(rest, cluster) == {wanted}, 600, every=1)
    done = round(time.monotonic() - began, 1)
    assert states(busy, run, "outlasts") == ["running"] * 4, "they outlast it: else nothing was shown"
    assert busy.wait_for_run("outlasts", run, OUTLASTS + 120) == "success"
    note("agents replaced", done=done, nodes=len(nodes))
    assert {task["try_number"] for task in busy.tasks("outlasts", run)} == {1}
    assert (rest.phase(BUSY), node_ids(rest, cluster)) == ("running", nodes)
    assert {one["InstanceId"] for one in instances(updraft)} == hosts


def agents(rest: Rest, cluster: int) -> set[str | None]:
    return {(node["agent"] or {}).get("release") for node in rest.items(f"clusters/{cluster}/nodes")}


def states(airflow: Airflow, run: str, dag: str = "twenty") -> list[str]:
    return [task["state"] for task in airflow.tasks(dag, run)]


def node_ids(rest: Rest, cluster: int) -> set[str]:
    return {node["id"] for node in rest.items(f"clusters/{cluster}/nodes")}
