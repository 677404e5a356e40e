"""What users pick instead: Airflow's own dag-processor with its own bundles, and with git-sync's folder.

Each has a database of its own on the same server, and its own interpreter process; options that are not named here are
Airflow's defaults.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watching import Database, Follower, Pushes, Watcher

# Of the release that Airflow 3.3.2 was tested with, and what it needs beside the runtime.
GIT_PROVIDER = ["apache-airflow-providers-git==1.0.1", "gitpython==3.2.1", "gitdb==4.0.12", "smmap==5.0.3"]

# git-sync 4 is a Go program that no registry at hand carries: who has it names it (--git-sync). This does what its
# `SyncRepo` does, with its defaults: depth 1, a new worktree, the link renamed, the old worktree removed, `git gc`; a
# check when nothing is new.
GIT_SYNC = """
set -u
repo=$1 period=$2
git init -q -b main . && git commit -q --allow-empty -m empty
while :; do
    before=$(basename "$(readlink link)" 2>/dev/null)
    if git fetch -q "$repo" main --no-progress --prune --no-auto-gc --depth 1; then
        hash=$(git rev-parse 'FETCH_HEAD^{}')
        if [ "$hash" = "$before" ]; then
            git -C ".worktrees/$hash" fsck --no-progress --connectivity-only
        else
            git reset -q --soft "$hash"
            git worktree add --force --detach ".worktrees/$hash" "$hash" --no-checkout
            git -C ".worktrees/$hash" reset -q --hard "$hash" --
            git -C ".worktrees/$hash" submodule update --init --recursive --depth 1
            ln -sfn ".worktrees/$hash" tmp-link && mv -T tmp-link link
            [ -z "$before" ] || rm -rf ".worktrees/$before"
            git worktree prune
            git reflog expire --expire-unreachable=all --all
            git gc -q
        fi
    fi
    sleep "$period"
done
"""

# What else decides when bundles are looked at each second.
BEST = {"DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1", "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0"}


@dataclass
class Plain:
    """How plain Airflow is run here."""

    directory: Path
    bin: Path
    uv: Path
    psql: Path
    server: str
    key: Path
    pushes: Pushes
    git_sync_program: Path | None = None
    processors: int = 0

    def git_bundle(self, url: str, refresh: int) -> Follower:
        name = f"GitDagBundle, refresh_interval {refresh} s"
        conn = {"key_file": str(self.key), "strict_host_key_checking": "no"}
        kwargs = {"tracking_ref": "main", "git_conn_id": "bench", "refresh_interval": refresh}
        given = {"AIRFLOW_CONN_BENCH": json.dumps({"conn_type": "git", "host": url, "extra": conn})}
        given["PYTHONPATH"] = str(self.git_provider())
        classpath = "airflow.providers.git.bundles.git.GitDagBundle"
        return self.bundle(name, classpath, kwargs, given, "tracking_repo")

    def s3_bundle(self, endpoint: str, authorities: Path, bucket: str, prefix: str, refresh: int) -> Follower:
        name = f"S3DagBundle, refresh_interval {refresh} s"
        conn = {"endpoint_url": endpoint, "region_name": "us-east-1", "verify": str(authorities)}
        aws = {"conn_type": "aws", "login": "access", "password": "secret", "extra": conn}
        kwargs = {"bucket_name": bucket, "prefix": prefix, "refresh_interval": refresh}
        given = {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws)}
        classpath = "airflow.providers.amazon.aws.bundles.s3.S3DagBundle"
        return self.bundle(name, classpath, kwargs, given, ".")

    def git_sync(self, url: str, period: int, nodes: int) -> Follower:
        """One git-sync beside each of the nodes, as in Airflow's chart."""
        ssh = f"ssh -i {self.key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        author = {
            "GIT_AUTHOR_NAME": "x",
            "GIT_AUTHOR_EMAIL": "x",
            "GIT_COMMITTER_NAME": "x",
            "GIT_COMMITTER_EMAIL": "x",
        }
        environment = {**os.environ, **author, "GIT_SSH_COMMAND": ssh}
        links, syncing = [], []
        for node in range(nodes):
            root = self.directory / f"git-sync-{node}"
            root.mkdir()
            links.append(root / "link")
            script, words = GIT_SYNC, ["git-sync", url, str(period)]
            if self.git_sync_program:
                script, words = 'exec "$0" "$@"', self.real_git_sync(url, root, period)
            command = ["/bin/sh", "-c", f"sleep {node * period / nodes}; {script}", *words]
            syncing.append(self.run(command, root, environment))
        kwargs = {"path": str(links[0])}
        classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
        who = self.git_sync_program.name if self.git_sync_program else "git-sync's commands"
        name = f"{who}, period {period} s, plain dag-processor"
        follower = self.bundle(name, classpath, kwargs, {}, *links)
        follower.processes += syncing
        return follower

    def real_git_sync(self, url: str, root: Path, period: int) -> list[str]:
        """Options that are not named are its defaults."""
        words = [str(self.git_sync_program), f"--repo={url}", "--ref=main", f"--period={period}s"]
        words += [f"--root={root / 'root'}", f"--link={root / 'link'}"]
        return [*words, f"--ssh-key-file={self.key}", "--ssh-known-hosts=false"]

    def bundle(
        self,
        name: str,
        classpath: str,
        kwargs: dict[str, Any],
        given: dict[str, str],
        *folders: Path | str,
    ) -> Follower:
        """`folders` are where the files are, below the bundle's own directory or elsewhere."""
        bundles = [{"name": "bench", "classpath": classpath, "kwargs": kwargs}]
        fast = kwargs.get("refresh_interval", 300) < 5
        directory, asked, process = self.processor(bundles, given, BEST if fast else {})
        places = [directory / "bundles/bench" / folder for folder in folders]
        disk = Watcher(lambda seen: min(self.pushes.in_directory(place, seen) for place in places))
        return Follower(name, disk, Watcher(asked.recorded), [process])

    def processor(
        self, bundles: list[dict[str, Any]], given: dict[str, str], more: dict[str, str]
    ) -> tuple[Path, Database, subprocess.Popen[bytes]]:
        """A dag-processor with a directory and a database of its own; `more` are options."""
        self.processors += 1
        directory = self.directory / f"plain-{self.processors}"
        directory.mkdir()
        database = f"bench_{self.processors}"
        creating = Database(self.psql, self.server, "postgres")
        creating.ask(f'create database {database} template "template-airflow-3.3.2"')
        asked = Database(self.psql, self.server, database)
        options = {
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__FERNET_KEY": "",
            "DATABASE__SQL_ALCHEMY_CONN": asked.url.replace("postgresql:", "postgresql+psycopg2:"),
            "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(directory / "bundles"),
            "LOGGING__BASE_LOG_FOLDER": str(directory / "logs"),
        }
        environment = {f"AIRFLOW__{option}": value for option, value in (options | more).items()}
        environment |= {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(directory), "AIRFLOW_HOME": str(directory)}
        process = self.run([str(self.bin / "airflow"), "dag-processor"], directory, environment | {"TZ": "UTC"} | given)
        return directory, asked, process

    def git_provider(self) -> Path:
        target = self.directory / "git-provider"
        if not target.exists():
            command = [str(self.uv), "pip", "install", "--quiet", "--no-deps", "--python", str(self.bin / "python")]
            subprocess.run([*command, "--target", str(target), *GIT_PROVIDER], check=True)
        return target

    def run(self, command: list[str], directory: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (directory / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
