"""The pre-imported parent: one process that has imported Airflow once and forks a cluster's services from it.

`serve` answers requests, `warm` imports, `thaw` makes a fork forget the parent's configuration, `wire` is the protocol.
"""
