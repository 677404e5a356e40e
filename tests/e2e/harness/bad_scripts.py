"""Bootstrap scripts that must be refused: of each class that makes sense for a script, which has nothing to conflict with."""

from __future__ import annotations

from .bad_changes import CLASSES, LEFT_BEHIND, Rows


def of_scripts(ports: list[int]) -> Rows:
    rows = Rows(ports=ports)
    for add in (_missing, _airflow_breakers, _dag_breakers, _sleepers, _disk_fillers, _hoarders, _hostile):
        add(rows)
    return rows


def _missing(rows: Rows) -> None:
    """What it fetches or calls is not there."""
    for script, words in (
        ("set -e; no-such-tool --version", "no-such-tool: command not found"),
        ("#!/no/such/interpreter", "exit code 127"),
        ("set -e; . ./not-there.sh", "not-there.sh"),
        ("cat wheels/ours.whl", "wheels/ours.whl"),
        ("set -u; echo $NEVER_SET", "NEVER_SET"),
        ("#!/usr/bin/env python3\nimport never_installed", "never_installed"),
        ("python3 -m pip download --no-index never-published || exit 3", "exit code"),
        ("#!/bin/sh\nexec ./ours.bin", "ours.bin"),
        ("tar xf ours.tar", "ours.tar"),
        ("exit 42 # what it wants is not there", "exit code 42"),
        ("cp /opt/never/ours.so .", "/opt/never/ours.so"),
        ("if then", "syntax error"),
    ):
        rows.runs(CLASSES[1], script, "failed", words)


def _airflow_breakers(rows: Rows) -> None:
    """Whatever services read: it is not there for a script to change."""
    for place in (
        "work/airflow.cfg",
        "work/plugins/ours.py",
        "work/broker-password",
        "work/valkey.conf",
        "work/jwks.json",
        "exit/worker",
        "logs/scheduler.log",
        "agent/assignment.json",
        "dags/notes/parsed.json",
        "run/scheduler.json",
        "work/bundles/ours",
    ):
        rows.runs(CLASSES[2], f"set -e; echo {LEFT_BEHIND} > ../../{place}", "failed", place)
    sealed = f"set -e; echo {LEFT_BEHIND} > $(ls -d ../../../../environments/*/bin | head -n 1)/airflow"
    rows.runs(CLASSES[2], sealed, "failed", "bin/airflow")


def _dag_breakers(rows: Rows) -> None:
    folder = "../../dags"
    for act, words in (
        (f"echo x > {folder}/current", "current"),
        (f"rm {folder}/versions/*/greets.py", "greets.py"),
        (f"rm -r {folder}/versions", "versions"),
        (f"mv {folder}/versions {folder}/gone", "versions"),
        (f"ln -sf /etc {folder}/current", "current"),
        (f"truncate -s 0 {folder}/current", "current"),
        (f"mkdir {folder}/versions/0000", "0000"),
        (f"chmod 000 {folder}/versions", "versions"),
        (f"touch {folder}/wanted/0000", "wanted"),
        (f"echo raise > {folder}/versions/sqlite3.py", "sqlite3.py"),
        (f"sed -i s/greets/spread/ {folder}/versions/*/greets.py", "greets.py"),
        (f"cp /dev/null {folder}/notes/in-use.json", "in-use.json"),
    ):
        rows.runs(CLASSES[3], f"set -e; {act}", "failed", words)


def _sleepers(rows: Rows) -> None:
    for script in (
        "sleep 3600",
        "while :; do :; done",
        "trap '' TERM INT HUP; while :; do sleep 1; done",
        "sleep 3600 & wait",
        "mkfifo never; read -r line < never",
        "cat <(sleep 3600)",
        "exec sleep 3600",
        "#!/usr/bin/env python3\nimport time; time.sleep(3600)",
        "setsid sleep 3600 & sleep 3600",
        "until false; do sleep 1; done",
        "yes | while read -r _; do :; done",
        "kill -STOP $$; sleep 3600",
    ):
        rows.runs(CLASSES[4], f"echo begun; {script}" if script[0] != "#" else script, "time_limit", "5 s", limit_s=5)


def _disk_fillers(rows: Rows) -> None:
    each = "for n in 1 2 3; do"
    for script in (
        f"{each} head -c 500M /dev/zero > f$n; done",
        f"{each} dd if=/dev/zero of=f$n bs=1M count=500; done",
        f"{each} fallocate -l 500M f$n; done",
        f"{each} mkdir -p d/$n; head -c 500M /dev/zero > d/$n/f; done",
        f"{each} head -c 500M /dev/zero > $TMPDIR/f$n; done",
        f"{each} head -c 500M /dev/zero > /dev/shm/f$n; done",
        f"{each} head -c 500M /dev/zero > $HOME/.f$n; done",
        f"{each} head -c 500M /dev/zero > f$n & done; wait",
        "exec 3>a 4>b 5>c; rm a b c; for n in 3 4 5; do head -c 500M /dev/zero >&$n; done",
        "head -c 500M /dev/zero > a; cp a b; cp a c",
        f"mkdir bin; {each} head -c 500M /dev/urandom > bin/tool$n; done",
        f"umask 777; {each} head -c 500M /dev/zero > f$n; done",
    ):
        rows.runs(CLASSES[5], f"{script}; sleep 60", "disk_limit", "MiB of disk", limit_s=60)


def _hoarders(rows: Rows) -> None:
    python = "#!/usr/bin/env python3\n"
    eat = "h = []\nwhile True: h.append(bytearray(b'x') * (16 << 20))"
    for script in (
        "x=$(head -c 1500M /dev/zero | tr '\\0' x); sleep 60",
        "head -c 3G /dev/zero | tail -c 3G | wc -c",
        "head -c 3G /dev/zero | tail -n 1",
        "for n in 1 2 3; do (head -c 600M /dev/zero | tail -n 1; sleep 60) & done; wait",
        'x=(); while :; do x+=("$(head -c 4M /dev/zero | tr "\\0" x)"); done',
        "head -c 3G /dev/zero | sort -S 90%",
        f"{python}{eat}",
        f"{python}import os\nos.setsid(); os.environ.clear()\nif os.fork(): os.wait()\n{eat}",
        f"{python}import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n{eat}",
        f"{python}import os\nh = [os.memfd_create(str(n)) for n in range(64)]\nfor f in h:\n    for _ in range(64): os.write(f, bytes(1 << 20))\nwhile True: pass",
        f"{python}import mmap\nh = []\nwhile True:\n    m = mmap.mmap(-1, 64 << 20); h.append(m); m.write(b'x' * (64 << 20))",
        "unshare --map-root-user --mount sh -c 'mount -t tmpfs x /mnt; head -c 2G /dev/zero > /mnt/x; sleep 60'",
    ):
        rows.runs(CLASSES[6], script, "memory_limit", "memory", limit_s=60)


def _hostile(rows: Rows) -> None:
    """Says what it reached, and fails: with nothing said it reached nothing."""
    none = "exit code 7. It said nothing"
    dial = "; ".join(f"(echo > /dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo REACHED {port}" for port in rows.ports)
    for act in (
        "grep -l BROKER_URL /proc/[0-9]*/environ 2>/dev/null",
        "cat ../../work/broker-password ../../agent/*.json ../../../*/work/airflow.cfg 2>/dev/null",
        "ls ../../logs ../../run ../../../cluster-*/* 2>/dev/null",
        "cat ../../../../secrets/* ../../../../s3/identities.json /etc/shadow 2>/dev/null",
        "for p in /proc/[0-9]*; do grep -q airflow $p/cmdline 2>/dev/null && kill -9 ${p#/proc/} && echo KILLED; done",
        dial,
        'for a in 169.254.169.254 169.254.170.2; do timeout 1 bash -c "echo > /dev/tcp/$a/80" 2>/dev/null && echo $a; done',
        f"for how in 1 2 3; do (setsid env -i bash -c 'exec -a {LEFT_BEHIND} sleep 3600' >/dev/null 2>&1 &) ; done; sleep 1",
        "(sudo -n id || su -c id || umount /dev/shm || mount -t tmpfs x /mnt) </dev/null 2>/dev/null",
        f"for d in /dev/shm /run/lock; do echo {LEFT_BEHIND} > $d/{LEFT_BEHIND}; done",
        f"for d in $(ls -d ../../../*/work/plugins ../../../environments-*/* 2>/dev/null); do (echo x > $d/{LEFT_BEHIND}.pth) 2>/dev/null && echo $d; done",
        "for f in /proc/1/fd/*; do readlink $f; done | grep -v -e null -e pipe -e .bootstrap -e 'No such'",
    ):
        rows.runs(CLASSES[7], f"{act}\nexit 7", "failed", none)
    rows.runs(CLASSES[7], ":(){ :|:& }; :; wait; sleep 60", "process_limit", "processes")
    # Whichever bound is met first.
    rows.runs(
        CLASSES[7],
        "for n in $(seq 400); do setsid sleep 1000 & done; wait",
        "",
        "Resource temporarily unavailable",
    )
