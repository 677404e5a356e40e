"""Boots a node of a real Debian under a real systemd, and prints as JSON what was to be seen.

    unshare --net --mount python -m harness.booted ROOT

ROOT is a root file system; it is booted in a container, stays as it is, and shares this network namespace with what a
node talks to.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from .surroundings import Surroundings
from .user_data import agent_archive, rendered

LOOK = """#!/bin/sh
export UPDRAFT_BOOT_METADATA=METADATA UPDRAFT_BOOT_PATIENCE=30
cd /test
say() { name=$1; shift; "$@" >"$name.seen" 2>&1 || true; }
agent() { systemctl show --property MainPID --value updraft-agent; }
say boot sh user-data
say active systemctl is-active updraft-agent
say status cat "/proc/$(agent)/status"
say rule ip -details rule
say services id -u updraft-services
say builder id -u updraft-builder
say places nsenter --target "$(agent)" --mount -- sh /test/touch
units=/etc/systemd/system
sed '/^Exec/d; /^Restart/d; s/^Type=.*/Type=oneshot/' "$units/updraft-agent.service" >"$units/enclosure.service"
mkdir "$units/enclosure.service.d"
cat >"$units/enclosure.service.d/run.conf" <<'UNIT'
[Service]
ExecStart=/bin/sh /test/enclosure
StandardOutput=append:/test/enclosure.seen
UNIT
systemctl daemon-reload
systemctl start enclosure
before=$(agent)
systemctl kill --signal KILL updraft-agent
until [ "$(systemctl is-active updraft-agent)" = active ] && [ "$(agent)" != "$before" ]; do sleep 0.1; done
say again sh user-data
systemctl poweroff
"""
TOUCH = "for place in /etc /opt/updraft /var/lib/updraft/node; do touch $place/x 2>/dev/null && echo $place; done"
# As the agent encloses builds: services/agent/src/builds/enclosure.rs.
ENCLOSURE = """
exec unshare --pid --fork --mount-proc --ipc --kill-child -- sh -ec '
mount -t tmpfs -o size=64k,mode=755,nosuid,nodev updraft /var/lib/updraft
mount -o remount,ro /var/lib/updraft
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- sh -c "
id -un; ls /var/lib/updraft; unshare --user true 2>/dev/null || echo nothing more"'
"""


def main(root: Path) -> None:
    with Surroundings() as around, tempfile.TemporaryDirectory() as place:
        around.tokens.add("good-once")
        around.objects["/agent.tar.gz"] = agent_archive()
        digest = hashlib.sha256(around.objects["/agent.tar.gz"]).hexdigest()
        values = {"NODE": str(uuid.uuid4()), "CONTROL_URL": around.url, "TOKEN": "good-once", "BOOT_LOG_URL": ""}
        user_data = rendered({**values, "ARCHIVES": f"{digest} agent {around.url}/agent.tar.gz"})
        Path(place, "user-data").write_text(user_data)
        Path(place, "enclosure").write_text(ENCLOSURE)
        Path(place, "touch").write_text(TOUCH)
        Path(place, "look").write_text(LOOK.replace("=METADATA", f"={around.url}"))
        container = ["systemd-nspawn", "--boot", "--quiet", "--register=no", "--keep-unit", "--volatile=overlay"]
        rights = ["--capability=CAP_NET_ADMIN,CAP_SYS_RESOURCE", f"--bind={place}:/test", f"--directory={root}"]
        subprocess.run([*container, *rights], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)
        seen = {file.stem: file.read_text() for file in Path(place).glob("*.seen")}
        print(json.dumps({**seen, "registrations": around.asked("register"), "reports": around.reports}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
