"""What an image of EC2's own does at its first boot, as one more layer of a host: user data is run as root, once.

cloud-init does it on EC2. In a container it sees no EC2 (it believes no DMI there) and so asks for user data without a
session, which Updraft's instances refuse. Where they are optional it ran user data after 1.4 s, this does after 0.5 s.
"""

from __future__ import annotations

from pathlib import Path

RUN = """#!/usr/bin/python3
# Once for an instance, unpacked if it is packed: as cloud-init has it.
import gzip, os, sys, urllib.error, urllib.request
from pathlib import Path

def ask(path, method="GET", **headers):
    named = {"X-aws-ec2-metadata-token" + name: value for name, value in headers.items()}
    request = urllib.request.Request("http://169.254.169.254/latest/" + path, headers=named, method=method)
    return urllib.request.urlopen(request, timeout=5).read()

session = ask("api/token", "PUT", **{"-ttl-seconds": "60"}).decode()
place = Path("/var/lib/cloud/instances", ask("meta-data/instance-id", **{"": session}).decode())
if place.exists():
    sys.exit()
try:
    told = ask("user-data", **{"": session})
except urllib.error.HTTPError as error:
    sys.exit(error.code != 404)
place.mkdir(mode=0o700, parents=True)
script = place / "user-data"
script.write_bytes(gzip.decompress(told) if told.startswith(b"\\x1f\\x8b") else told)
script.chmod(0o700)
os.execv(script, [str(script)])
"""
UNIT = """[Unit]
Description=User data
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/run-user-data
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
"""


def make(layer: Path) -> Path:
    program, units = layer / "usr/local/sbin/run-user-data", layer / "etc/systemd/system"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(RUN)
    program.chmod(0o755)
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (units / "user-data.service").write_text(UNIT)
    if not (wants / "user-data.service").is_symlink():
        (wants / "user-data.service").symlink_to("../user-data.service")
    return layer
