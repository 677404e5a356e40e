"""What of Amazon Linux 2023 a Debian can be given, since no image of it is at hand: names and places, no program of it.

- `python3` is not the Python that runtimes are made with, which has its own name beside it
  (<https://docs.aws.amazon.com/linux/al2023/ug/python.html>)
- `sh` is bash, and there are no apt, dpkg or curl
- authorities are below /etc/pki, and nothing is in /etc/ssl
"""

from __future__ import annotations

from .user_data import INTERPRETER


def changes(interpreter: str = INTERPRETER) -> str:
    """Shell commands that make them, as root. What is started by the name of `python3` is in no environment."""
    return f"""
ln -sf bash /usr/bin/sh
rm -f /usr/bin/python3 /usr/bin/apt* /usr/bin/dpkg* /usr/bin/curl
printf '#!/bin/sh\\nexec {interpreter} "$@"\\n' >/usr/bin/python3
chmod 755 /usr/bin/python3
mkdir -p /etc/pki/ca-trust/extracted/pem /etc/pki/tls/certs
cat /etc/ssl/certs/ca-certificates.crt >/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
ln -sf /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/certs/ca-bundle.crt
ln -sf certs/ca-bundle.crt /etc/pki/tls/cert.pem
rm -rf /etc/ssl /etc/apt
"""


def enter(scratch: str) -> list[str]:
    """What a command is run with to see this machine so, and to change nothing of it. As root."""
    script = f"""
set -e
mount -t tmpfs scratch "$1"
for place in /etc /usr/bin; do
    mkdir -p "$1$place/upper" "$1$place/work"
    mount -t overlay -o "lowerdir=$place,upperdir=$1$place/upper,workdir=$1$place/work" seen "$place"
done
shift
{changes()}
exec "$@"
"""
    return ["unshare", "--mount", "sh", "-c", script, "sh", scratch]
