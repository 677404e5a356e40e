"""The machines behind the API: each instance is a host with its own address, root file system and systemd.

A host is a container of systemd-nspawn in a network namespace, on one bridge with everything that Updraft has of its
own (`network.GATE`: control, edges, databases, S3, this API). A host is seen from outside only: it is booted, stopped,
killed, frozen, slowed, parted from the network and asked for its console; the metadata service tells it what it is.
Needs root, and there is one such data centre on a machine at a time.
"""
