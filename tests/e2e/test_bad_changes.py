"""Bad packages and bootstrap scripts while real tasks run: refused with their reason, on no node, at no task's cost."""

from __future__ import annotations

import json
import statistics
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness import packages, processes
from harness.airflow import DONE
from harness.bad_changes import CLASSES, LEFT_BEHIND, Row, of_packages
from harness.bad_scripts import of_scripts
from harness.waiting import wait_for
from test_environments import GREETS, SPREAD, patch
from test_replace import TASKS, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

RESULTS = Path(__file__).parents[1] / "results" / "bad_changes.jsonl"


@dataclass
class Tried:
    kind: str
    of: str
    what: str
    refused: bool
    reached: bool
    seconds: float
    message: str


@dataclass
class Work:
    """Has two runs under way all the time, each with tasks side by side and in a row."""

    airflow: Airflow
    runs: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Work:
        self.runs.append(self.airflow.trigger(SPREAD))
        self.thread = threading.Thread(target=self._go_on, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(60)

    def _go_on(self) -> None:
        while not self.over.wait(2):
            try:
                states = [self.airflow.run_state(SPREAD, run) for run in self.runs[-2:]]
                if sum(state not in DONE for state in states) < 2:
                    self.runs.append(self.airflow.trigger(SPREAD))
            except OSError:
                continue

    def killed(self) -> list[str]:
        """Tasks that were tried again, or did not succeed."""
        for run in self.runs:
            self.airflow.wait_for_run(SPREAD, run, 600)
        ended = {run: self.airflow.tasks(SPREAD, run) for run in self.runs}
        assert all(len(tasks) == TASKS for tasks in ended.values())
        return [
            f"{run}: {task['task_id']} {task['state']} at try {task['try_number']}"
            for run, tasks in ended.items()
            for task in tasks
            if (task["state"], task["try_number"]) != ("success", 1)
        ]


@dataclass
class Trials:
    installation: Installation
    rest: Rest
    cluster: dict[str, Any]
    before: dict[str, Any] = field(init=False)
    had: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        spec = self.rest.cluster(self.cluster["name"])["spec"]
        self.had = {"environment": spec["environment"], "bootstrap": spec["bootstrap"]}
        self.before = serving(self.installation, self.rest, self.cluster)

    def attempt(self, row: Row) -> Tried:
        begun = time.monotonic()
        ended = patch(self.rest, self.cluster, self.had | row.spec)
        seconds = time.monotonic() - begun
        failure = ended["failure"] or {"code": ended["state"], "message": ""}
        message = f"{failure['code']}: {failure['message']}"
        after = serving(self.installation, self.rest, self.cluster)
        changed = {key for key in self.before.keys() | after.keys() if self.before.get(key) != after.get(key)}
        self.before = after
        return Tried(
            kind=row.kind,
            of=next(iter(row.spec)),
            what=row.what,
            refused=failure["code"].startswith(row.code) and row.words in failure["message"],
            reached=bool(changed) or self._is_live(row),
            seconds=round(seconds, 1),
            message=message + "".join(f"; changed: {key}" for key in sorted(changed)),
        )

    def _is_live(self, row: Row) -> bool:
        seen = self.rest.cluster(self.cluster["name"])
        held = seen.get("environment") or {"state": "live"}
        if (held["state"], seen["phase"]["state"]) != ("refused", "running"):
            return True
        live = {"environment": held["live"], "bootstrap": held["live_bootstrap"]}
        return any(live[part] == dict(live[part], **asked) for part, asked in row.spec.items())

    def take_back(self) -> None:
        assert patch(self.rest, self.cluster, self.had)["state"] == "succeeded"


def serving(installation: Installation, rest: Rest, cluster: dict[str, Any]) -> dict[str, Any]:
    """What nodes run with, asked of the nodes themselves: their assignments, files and processes."""
    root = installation.data_dir / "nodes"
    environments = (root / f"environments-{cluster['id']}").glob("[!.]*")
    seen: dict[str, Any] = {"environments": sorted(path.name for path in environments)}
    for node in nodes(rest, cluster).values():
        there, label = root / node["id"], node["label"]
        given = json.loads((there / "agent" / "assignment.json").read_text())
        seen[f"assignment of {label}"] = [given["environment_dir"], given.get("script")]
        seen[f"services of {label}"] = [node["services"], [one["digest"] for one in given["services"]]]
        loaded = [*(there / "work" / "plugins").rglob("*.py"), *(there / "bootstrap").iterdir()]
        seen[f"files of {label}"] = sorted(path.name for path in loaded if not path.name.startswith("trial-"))
        for name in ("work/airflow.cfg", "work/jwks.json", "dags/current"):
            seen[f"{name} of {label}"] = (there / name).read_bytes() if (there / name).exists() else None
    places = [*map(Path, ("/dev/shm", "/run/lock")), *root.glob("[!.]*"), *root.glob("[!.]*/work/plugins")]
    seen["left"] = [str(place) for place in places if (place / LEFT_BEHIND).exists()]
    seen["left"] += [line for line in processes.command_lines().values() if LEFT_BEHIND in line]
    return seen


@pytest.fixture
def trials(
    installation: Installation,
    rest: Rest,
    neighbour: dict[str, Any],
    neighbour_airflow: Airflow,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trials]:
    index = packages.serve(tmp_path_factory.mktemp("index"), installation.index_port, inner=inner(installation))
    for dag in (SPREAD, GREETS):
        installation.add_dag(rest, NEIGHBOUR, f"{dag}.py", (DAGS / f"{dag}.py").read_text())
    wait_for("the DAGs are parsed", lambda: all(neighbour_airflow.has_dag(dag) for dag in (SPREAD, GREETS)), 90)

    def versions() -> set[bytes]:
        live = (installation.data_dir / "nodes" / node / "dags" / "current" for node in nodes(rest, neighbour))
        return {path.read_bytes() for path in live}

    wait_for("every node has them", lambda: len(versions()) == 1)
    these = Trials(installation, rest, neighbour)
    yield these
    these.take_back()
    index.close()


def inner(installation: Installation) -> list[int]:
    """Updraft's internal listener, and control's database."""
    return [installation.port_base + offset for offset in (2, 3)]


def test_a_bad_script_of_each_class_changes_no_node(installation: Installation, trials: Trials) -> None:
    """Packages: `test_environments.py`. Scripts that hang or fill the disk: the agent's own tests."""
    rows = {row.kind: row for row in reversed(of_scripts(inner(installation)).rows)}
    done = [trials.attempt(row) for kind, row in rows.items() if kind not in ("hangs", "fills disk")]
    assert [one for one in done if one.reached or not one.refused] == []


@pytest.mark.soak
@pytest.mark.parametrize("kind", CLASSES)
def test_no_bad_change_of_a_class_reaches_a_node_or_costs_a_task(
    kind: str, installation: Installation, trials: Trials
) -> None:
    ports = inner(installation)
    rows = [row for row in of_packages(ports).rows + of_scripts(ports).rows if row.kind == kind]
    done = []
    with Work(installation.airflow(trials.cluster["id"], trials.rest)) as work:
        for row in rows:
            done.append(trials.attempt(row))
            note(done[-1])
    killed = work.killed()
    for of in ("environment", "bootstrap"):
        print(figures([one for one in done if one.of == of]))
    print(f"{len(work.runs) * TASKS} tasks meanwhile, {len(killed)} killed")
    assert killed == []
    assert [one for one in done if one.reached or not one.refused] == []


def figures(those: list[Tried]) -> str:
    if not those:
        return ""
    seconds = [one.seconds for one in those]
    refused, reached = sum(one.refused for one in those), sum(one.reached for one in those)
    return (
        f"{those[0].kind}, {those[0].of}: {len(those)} tried, {refused} refused with their reason, "
        f"{reached} reached a node, p50 {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s"
    )


def note(one: Tried) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(asdict(one)) + "\n")
