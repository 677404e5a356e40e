"""What a root file system lacks to be a host of EC2's, as one more layer of it. User data is cloud-init's, as on EC2.

cloud-init asks for IMDSv2's sessions only where it knows AWS: by `/sys/hypervisor/uuid`, as on instances of Xen, or by
DMI, which it does not believe in a container. So a host's first process gives it the former, and then is its systemd.
"""

from __future__ import annotations

from pathlib import Path

FIRST = "/usr/local/lib/first-process"
# The kernel's own /sys takes no directory: this is one around it. And the container's shows the network around it.
SCRIPT = """#!/bin/sh
set -e
mount -t tmpfs -o mode=755 sys /mnt
mkdir /mnt/fs /mnt/hypervisor /mnt/kernel-own
mount --rbind /sys/fs /mnt/fs
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /mnt/kernel-own
for part in block bus class dev devices firmware kernel module power; do
    mkdir "/mnt/$part"
    mount --bind "/mnt/kernel-own/$part" "/mnt/$part"
done
umount /mnt/kernel-own
rmdir /mnt/kernel-own
sed 's/^.../ec2/' /proc/sys/kernel/random/uuid >/mnt/hypervisor/uuid
mount -o remount,ro /mnt
mount --make-rprivate /mnt
mount --rbind /mnt /sys
umount --lazy /mnt
exec /lib/systemd/systemd
"""
# A container has no disk to grow into.
SETTINGS = """growpart: {mode: 'off'}
resize_rootfs: false
"""


def make(layer: Path) -> Path:
    settings, first = layer / "etc/cloud/cloud.cfg.d/99-data-centre.cfg", layer / FIRST.lstrip("/")
    for file, content in ((settings, SETTINGS), (first, SCRIPT)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    first.chmod(0o755)
    return layer
