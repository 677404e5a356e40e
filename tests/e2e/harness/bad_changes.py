"""Changes of a cluster that must be refused, as rows: packages and bootstrap scripts, twelve of each class or more.

Each row says what is asked for, the code that it is refused with, and words that name the culprit. The packages are made
by `publish`, in the index that the installation knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CLASSES = (
    "conflict",
    "missing wheel",
    "breaks Airflow",
    "breaks one DAG",
    "hangs",
    "fills disk",
    "eats memory",
    "hostile setup code",
)
# What hostile code would leave for services to load, or as a process: looked for after each row.
LEFT_BEHIND = "left-behind-by-a-hostile-change"


@dataclass(frozen=True)
class Row:
    kind: str
    what: str
    spec: dict[str, Any]
    code: str
    words: str


@dataclass
class Rows:
    """Rows, and the packages that they ask for."""

    rows: list[Row] = field(default_factory=list)
    wheels: list[tuple[str, dict[str, str], tuple[str, ...]]] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def asks(
        self, kind: str, requirements: str, code: str, words: str, *, source: bool = False, limit_s: int = 120
    ) -> None:
        environment = {
            "requirements": requirements,
            "allow_source_builds": source,
            "build_time_limit_s": limit_s,
        }
        self.rows.append(Row(kind, requirements, {"environment": environment}, f"environment_{code}", words))

    def runs(self, kind: str, script: str, code: str, words: str, *, limit_s: int = 20) -> None:
        bootstrap = {"script": {"kind": "inline", "text": script}, "time_limit_s": limit_s}
        what = script.strip().splitlines()[0][:60]
        self.rows.append(Row(kind, what, {"bootstrap": bootstrap}, f"bootstrap_{code}", words))

    def wheel(self, name: str, files: dict[str, str], *requires: str) -> str:
        self.wheels.append((name, files, requires))
        return name

    def source(self, name: str, setup: str) -> str:
        self.sources.append((name, setup))
        return name

    def publish(self, index: Any) -> None:
        for name, files, requires in self.wheels:
            index.wheel(name, "1.0", files, requires=requires)
        for name, setup in self.sources:
            index.source(name, "1.0", setup)


def of_packages(ports: list[int]) -> Rows:
    """`ports` are Updraft's own, which no code of a tenant reaches."""
    rows = Rows(ports=ports)
    for add in (_conflicts, _missing, _airflow_breakers, _dag_breakers, _sleepers, _disk_fillers, _hoarders, _hostile):
        add(rows)
    return rows


def _conflicts(rows: Rows) -> None:
    kind = CLASSES[0]
    for number, pinned in enumerate(("pendulum<2", "sqlalchemy<1", "fastapi>9", "celery<4", "pydantic<1", "httpx>7")):
        name = rows.wheel(f"needs_{number}", {f"needs_{number}.py": ""}, pinned)
        rows.asks(kind, name, "conflict", pinned.rstrip("0123456789<>"))
    for pinned in ("pendulum==1.0", "apache-airflow==2.0", "celery<3", "sqlalchemy>99", "structlog==1"):
        rows.asks(kind, pinned, "conflict", pinned.split("=")[0].split("<")[0].split(">")[0])
    rows.wheel("left_half", {"left_half.py": ""}, "greeter==1.0")
    rows.wheel("right_half", {"right_half.py": ""}, "greeter==2.0")
    rows.asks(kind, "left_half\nright_half", "conflict", "greeter")


def _missing(rows: Rows) -> None:
    kind = CLASSES[1]
    for number in range(4):
        name = rows.source(f"wheelless_{number}", "pass")
        rows.asks(kind, name, "missing_package", f"wheelless-{number}")
    for asked in ("greeter==9.9", "greeter>=3", "greeter==1.*,!=1.0", "greeter<0.1"):
        rows.asks(kind, asked, "missing_package", "greeter")
    for asked in ("never-published", "never_published==1.0", "greeter\nalso-never-published"):
        rows.asks(kind, asked, "missing_package", "never")
    name = rows.wheel("leans", {"leans.py": ""}, "gone-from-the-index")
    rows.asks(kind, name, "missing_package", "gone-from-the-index")


def _airflow_breakers(rows: Rows) -> None:
    kind = CLASSES[2]
    over = (
        "airflow/__init__",
        "celery/__init__",
        "sqlalchemy/__init__",
        "fastapi/routing",
        "updraft_airflow/node",
        "pydantic/main",
    )
    for number, module in enumerate(over):
        name = rows.wheel(f"usurper_{number}", {f"{module}.py": "raise RuntimeError\n"})
        rows.asks(kind, name, "breaks_airflow", f"{module}.py")
    starts = {
        "ends": "import os; os._exit(3)",
        "raises": "import sys; sys.modules['airflow.settings'] = None",
        "hides": "import sys; sys.modules['celery'] = None",
        "blocks": "import sys; sys.modules['airflow.sdk.execution_time.supervisor'] = None",
        "kills": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "garbles": "import sys; sys.modules['fastapi'] = 7",
    }
    said = {
        "ends": "exit status 3",
        "raises": "airflow.settings",
        "hides": "celery",
        "blocks": "supervisor",
        "kills": "SIGKILL",
        "garbles": "fastapi",
    }
    for verb, line in starts.items():
        name = rows.wheel(f"start_{verb}", {f"start_{verb}.pth": f"{line}\n"})
        rows.asks(kind, name, "breaks_airflow", said[verb])


def _dag_breakers(rows: Rows) -> None:
    """Airflow is fine with each of them; `greets.py` imports sqlite3, `spread.py` too little to be hurt."""
    kind = CLASSES[3]
    starts = (
        "sys.modules['sqlite3'] = None",
        "sys.modules['_sqlite3'] = None",
        "sys.modules['sqlite3.dbapi2'] = None",
    )
    for number, line in enumerate(starts):
        name = rows.wheel(f"trap_{number}", {f"trap_{number}.pth": f"import sys; {line}\n"})
        rows.asks(kind, name, "breaks_dags", "greets.py")
    finder = "class F:\n    def find_spec(self, name, path=None, target=None):\n        if name == 'sqlite3': {act}\n"
    acts = {
        "import": "raise ImportError(name)",
        "os": "raise OSError(5, 'disk')",
        "zero": "1 / 0",
        "key": "raise KeyError(name)",
        "memory": "raise MemoryError(name)",
        "recursion": "raise RecursionError(name)",
        "type": "raise TypeError(name)",
        "assert": "raise AssertionError(name)",
        "value": "raise ValueError(name)",
    }
    for word, act in acts.items():
        code = f"import sys\n{finder.format(act=act)}sys.meta_path.insert(0, F())\n"
        files = {f"finder_{word}.py": code, f"finder_{word}_start.pth": f"import finder_{word}\n"}
        rows.asks(kind, rows.wheel(f"finder_{word}", files), "breaks_dags", "greets.py")


def _sleepers(rows: Rows) -> None:
    kind = CLASSES[4]
    setups = (
        "import time; time.sleep(3600)",
        "while True: pass",
        "import signal; signal.pause()",
        "import threading; threading.Event().wait()",
        "import os; os.read(os.pipe()[0], 1)",
        "import subprocess; subprocess.run(['sleep', '3600'])",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.accept()",
        "import select; select.select([], [], [])",
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, lambda *_: None)\nwhile True: time.sleep(1)",
        "import fcntl, os; a = open('l', 'w'); fcntl.flock(a, 2); b = open('l'); fcntl.flock(b, 2)",
        "import re; re.match(r'(a+)+$', 'a' * 64 + 'b')",
        "import os\nif os.fork(): os.wait()\nwhile True: pass",
    )
    for number, setup in enumerate(setups):
        name = rows.source(f"sleeper_{number}", setup)
        rows.asks(kind, name, "time_limit", "10 s", source=True, limit_s=10)


def _disk_fillers(rows: Rows) -> None:
    kind = CLASSES[5]
    piece = "\nblock = b'x' * (1 << 20)\ndef fill(path, count):\n    with open(path, 'wb') as f:\n        for _ in range(count): f.write(block)\n"
    setups = (
        "for n in range(64): fill(f'big-{n}', 64)",
        "fill('one', 1400); fill('two', 1400)",
        "for n in range(40): open(f'a{n}', 'wb').write(block * 64)",
        "import os\nfor n in range(64):\n    os.makedirs(f'd/{n}/e', exist_ok=True); fill(f'd/{n}/e/f', 64)",
        "import os\nf = [open(f'u{n}', 'w+b') for n in range(3)]\nfor n in range(3): os.unlink(f'u{n}')\nfor x in f:\n    for _ in range(1000): x.write(block)",
        "import tempfile\nt = [tempfile.TemporaryFile() for _ in range(3)]\nfor x in t:\n    for _ in range(1000): x.write(block)",
        "import os\nfor n in range(3):\n    fd = os.open(f'p{n}', os.O_RDWR | os.O_CREAT)\n    os.posix_fallocate(fd, 0, 1000 << 20)",
        "import os\nfor n in range(3): fill(os.path.expanduser(f'~/h{n}'), 1000)",
        "import os\nfor n in range(3):\n    if os.fork() == 0:\n        fill(f'c{n}', 1000); os._exit(0)\nfor n in range(3): os.wait()",
        "import os\nfor n in range(3): fill(os.environ.get('TMPDIR', '.') + f'/t{n}', 1000)",
        "import mmap\nfor n in range(3):\n    with open(f'm{n}', 'w+b') as f:\n        f.truncate(1000 << 20)\n        for at in range(0, 1000 << 20, 64 << 20): f.seek(at); f.write(block * 64)",
        "import subprocess\nfor n in range(3): subprocess.run(['dd', 'if=/dev/zero', f'of=dd{n}', 'bs=1M', 'count=1000'], check=True)",
    )
    for number, setup in enumerate(setups):
        name = rows.source(f"filler_{number}", f"{piece}{setup}\nimport time; time.sleep(60)")
        rows.asks(kind, name, "disk_limit", "MiB of disk", source=True, limit_s=60)


def _hoarders(rows: Rows) -> None:
    kind = CLASSES[6]
    setups = (
        "h = []\nwhile True: h.append(bytearray(b'x') * (16 << 20))",
        "h = bytearray()\nwhile True: h += b'x' * (8 << 20)",
        "h = {}\nwhile True: h[len(h)] = b'%d' % len(h) * (1 << 20)",
        "import mmap\nh = []\nwhile True:\n    m = mmap.mmap(-1, 64 << 20); h.append(m); m.write(b'x' * (64 << 20))",
        "import os\nfor _ in range(5):\n    if os.fork() == 0:\n        h = bytearray(b'x') * (600 << 20)\n        while True: pass\nos.wait()",
        "import os\nh = [os.memfd_create(str(n)) for n in range(64)]\nfor f in h:\n    for _ in range(64): os.write(f, bytes(1 << 20))\nwhile True: pass",
        "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nh = []\nwhile True: h.append(bytearray(b'x') * (16 << 20))",
        "import threading\nh = []\ndef eat():\n    while True: h.append(bytearray(b'x') * (4 << 20))\nfor _ in range(8): threading.Thread(target=eat).start()",
        "import ctypes\nc = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p\nwhile True: ctypes.memset(c.malloc(16 << 20), 1, 16 << 20)",
        "h = 'x' * (32 << 20)\nt = []\nwhile True: t.append(h.upper())",
        "import os\nos.setsid(); os.environ.clear()\nif os.fork(): os.wait()\nh = []\nwhile True: h.append(bytearray(b'x') * (16 << 20))",
        "import subprocess\nsubprocess.run(['unshare', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs x /mnt && dd if=/dev/zero of=/mnt/x bs=1M count=1900; sleep 60'])\nraise SystemExit('no memory of its own')",
    )
    for number, setup in enumerate(setups):
        name = rows.source(f"hoarder_{number}", setup)
        rows.asks(kind, name, "memory_limit", "memory", source=True, limit_s=60)


# Where services have their things, seen from where setup code begins; what was reached or left is said at the end.
_PROWL = f"""
import glob, os, signal, socket, subprocess, sys, time
from pathlib import Path
WORD, found = {LEFT_BEHIND!r}, []
root = next(p.parent for p in Path.cwd().parents if p.name.startswith("environments-"))
mounted = [Path(line.split()[4]) for line in open("/proc/self/mountinfo")]
nodes = set(top for p in mounted for top in (p, *p.parents) if top.parent == root)
def attempt(what, act):
    try:
        if act() is not False: found.append(str(what))
    except BaseException: pass
def write(path): Path(path).parent.mkdir(parents=True, exist_ok=True); Path(path).write_text(WORD)
def reach(host, port): socket.create_connection((host, port), 1).close()
def end(): raise SystemExit("".join(("it-", "reached: ", "|".join(found) or "no", "thing-at-all")))
"""
_HOSTILE = {
    "reads_environments": "for p in glob.glob('/proc/[0-9]*/environ'): attempt(p, lambda: b'BROKER_URL' in open(p, 'rb').read())\nend()",
    "reads_files": "for n in nodes:\n    for f in ('work/broker-password', 'work/airflow.cfg', 'agent/assignment.json', 'agent/identity.json', 'logs'):\n        p = n / f\n        attempt(p, lambda: p.read_bytes() if p.is_file() else bool(os.listdir(p)))\nend()",
    "reads_secrets": "for p in (root.parent / 'secrets', root.parent / 'postgres', root.parent / 's3' / 'identities.json', '/etc/shadow', '/root'): attempt(p, lambda: os.listdir(p) if os.path.isdir(p) else open(p).read())\nend() if os.getuid() else end()",
    "plants_plugins": "for n in nodes:\n    for f in ('work/plugins/evil.py', 'work/airflow.cfg', 'dags/current', 'dags/notes/parsed.json', 'exit/worker', 'logs/' + WORD, WORD):\n        if not n.name.startswith('environments-'): attempt(n / f, lambda: write(n / f))\nend()",
    "plants_modules": "for p in [*root.glob('environments-*/[0-9a-f]*/lib/python3*/site-packages'), *root.parent.glob('environments/*/lib/python3*/site-packages')]: attempt(p, lambda: write(p / (WORD + '.pth')))\nend()",
    "kills": "for p in glob.glob('/proc/[0-9]*'):\n    n = int(p.rsplit('/', 1)[1])\n    if b'airflow' in open(p + '/cmdline', 'rb').read() and n != 1: attempt(p, lambda: os.kill(n, 9))\nattempt('anybody', lambda: os.kill(-1, 0) if os.environ.get('never') else False)\nend()",
    "asks_metadata": "for a in ('169.254.169.254', '169.254.170.2', 'fd00:ec2::254'): attempt(a, lambda: reach(a, 80))\nend()",
    "dials_loopback": "for port in {ports}: attempt(port, lambda: reach('127.0.0.1', port))\nend()",
    "stays_behind": "for how in range(4):\n    if os.fork() == 0:\n        os.setsid(); os.environ.clear()\n        if os.fork() == 0:\n            os.closerange(0, 64); os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(3600)', WORD])\n        os._exit(0)\ntime.sleep(1)\nend()",
    "forks": "while True:\n    if os.fork() == 0: os.setsid()\n",
    "speaks_for_the_builder": "made = next(p for p in Path.cwd().parents if p.name.startswith('.building-')) / 'environment'\nfor p in glob.glob('/proc/[0-9]*/fd/1'): attempt(p, lambda: False if not open(p, 'w').write(chr(10) + '{\"ready\": true}' + chr(10)) else p.split('/')[2] == '1')\nattempt(1, lambda: os.kill(1, signal.SIGINT)); found.clear() if len(found) < 2 else None\nattempt(made, lambda: False if write(made / WORD) else False)\ntime.sleep(2)\nend()",
    "traces": "import ctypes\nc = ctypes.CDLL(None)\nfor p in glob.glob('/proc/[0-9]*'):\n    n = int(p.rsplit('/', 1)[1])\n    if n == 1: attempt('ptrace', lambda: c.ptrace(16, n, 0, 0) == 0); attempt('memory', lambda: open(p + '/mem', 'r+b'))\nend()",
    "becomes_root": "for c in (['sudo', '-n', 'id'], ['su', '-c', 'id'], ['mount', '-t', 'tmpfs', 'x', '/mnt'], ['umount', '-l', '/dev/shm'], ['setpriv', '--reuid=0', 'id']): attempt(c, lambda: subprocess.run(c, stdin=subprocess.DEVNULL, capture_output=True, timeout=5).returncode == 0)\nend()",
    "leaves_in_public": "for d in ('/dev/shm', '/run/lock'): attempt(d, lambda: write(d + '/' + WORD) or False)\nend()",
}


def _hostile(rows: Rows) -> None:
    kind = CLASSES[7]
    other = {
        "forks": ("environment_", "process"),
        "kills": ("environment_not_installable", "SIGKILL"),
        "speaks_for_the_builder": ("environment_", "hostile-speaks-for-the-builder"),
    }
    for verb, act in _HOSTILE.items():
        name = rows.source(f"hostile_{verb}", _PROWL + act.replace("{ports}", str(rows.ports)))
        code, words = other.get(verb, ("environment_not_installable", "it-reached: nothing-at-all"))
        rows.asks(kind, name, code.removeprefix("environment_"), words, source=True, limit_s=30)
