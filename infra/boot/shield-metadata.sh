#!/bin/sh
# Keeps one user, and so all that a tenant's code runs as, from the instance's metadata service: user data and the
# instance's credentials are the agent's. By a routing rule, because `ip` is on every system, nft and iptables are not.
# Run before each start of the agent; without it the agent does not start.
set -eu

user=${1:?shield-metadata.sh USER}
uid=$(id -u "$user")
readonly PRIORITY=100

# shield FAMILY ADDRESS
shield() {
    while ip "$1" rule del priority "$PRIORITY" 2>/dev/null; do :; done
    ip "$1" rule add priority "$PRIORITY" uidrange "$uid-$uid" to "$2" prohibit
}

shield -4 169.254.169.254/32
[ ! -e /proc/net/if_inet6 ] || shield -6 fd00:ec2::254/128
