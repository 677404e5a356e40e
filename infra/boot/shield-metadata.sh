#!/bin/sh
# Keeps users from the instance's metadata service: user data and the instance's credentials are the agent's. Each user
# that a tenant's code runs as is to be named. By a routing rule, because `ip` is on every system, nft and iptables are not.
# Run before each start of the agent; without it the agent does not start.
set -eu

if [ "$#" -eq 0 ]; then
    echo "shield-metadata.sh: nobody is named, so nobody is kept from the metadata service: shield-metadata.sh USER..." >&2
    exit 2
fi
# Before the rules of amazon-ec2-net-utils, which Amazon Linux has: from 10000 on, for further network interfaces by the address
# that a packet comes from (https://github.com/amazonlinux/amazon-ec2-net-utils).
readonly PRIORITY=169

# shield UID FAMILY ADDRESS: a rule that is there stays, since services of an agent before this one run under it.
# systemd-networkd removes what others added when it starts again, but for what it takes for the kernel's own
# (networkd.conf(5), ManageForeignRoutingPolicyRules=).
shield() {
    ip "$2" rule show | grep -qF "to $3 uidrange $1-$1 prohibit" ||
        ip "$2" rule add priority "$PRIORITY" uidrange "$1-$1" to "$3" prohibit protocol kernel
}

for user in "$@"; do
    uid=$(id -u "$user")
    shield "$uid" -4 169.254.169.254
    # Of an image that has an ECS agent: its containers' credentials.
    shield "$uid" -4 169.254.170.2
    [ ! -e /proc/net/if_inet6 ] || shield "$uid" -6 fd00:ec2::254
done
