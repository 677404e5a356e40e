#!/bin/sh
# Keeps one user, and so all that a tenant's code runs as, from the instance's metadata service: user data and the
# instance's credentials are the agent's. By a routing rule, because `ip` is on every system, nft and iptables are not.
# Run before each start of the agent; without it the agent does not start.
set -eu

user=${1:?shield-metadata.sh USER}
uid=$(id -u "$user")
readonly PRIORITY=16925

# shield FAMILY ADDRESS: a rule that is there stays, since services of an agent before this one run under it.
# systemd-networkd removes what others added when it starts again, but for what it takes for the kernel's own
# (networkd.conf(5), ManageForeignRoutingPolicyRules=).
shield() {
    ip "$1" rule show | grep -qF "to $2 uidrange $uid-$uid prohibit" ||
        ip "$1" rule add priority "$PRIORITY" uidrange "$uid-$uid" to "$2" prohibit protocol kernel
}

shield -4 169.254.169.254
[ ! -e /proc/net/if_inet6 ] || shield -6 fd00:ec2::254
