"""The pre-imported parent's protocol without Airflow: what it forks executes its argv."""

import json
import os
import selectors
import signal
import socket
import sys
import time


def start_time(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


def become(request):
    os.setsid()
    os.chdir(request["cwd"])
    log = os.open(request["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.execve(request["argv"][0], request["argv"], request["env"] | {"FORKED_BY": str(os.getppid())})


def answer(connection, statuses):
    request = json.loads(connection.makefile().readline())
    if request.get("ping"):
        return {"ready": True}
    pid = os.fork()
    if pid == 0:
        become(request)
    statuses[pid] = request["status"]
    return {"pid": pid, "start_time": start_time(pid)}


def reap(statuses):
    while statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        path = statuses.pop(pid)
        with open(path + ".new", "w") as file:
            json.dump({"signal": -code} if code < 0 else {"code": code}, file)
        os.rename(path + ".new", path)


def main():
    if os.environ.get("BROKEN"):
        sys.exit("no such module: airflow")
    while os.environ.get("SLOW") and not os.path.exists(os.environ["SLOW"]):
        time.sleep(0.01)
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    path = sys.argv[sys.argv.index("--socket") + 1]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    statuses = {}
    while True:
        for ready, _ in selector.select():
            if ready.fileobj is listener:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(json.dumps(answer(connection, statuses)).encode() + b"\n")
            else:
                os.read(wake_read, 4096)
        reap(statuses)


main()
