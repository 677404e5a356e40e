"""The test data centre: AWS's API, honest where moto is not.

`python -m datacentre --port 5001` serves everything that moto does on one port. Before it stands what EC2 does and
moto does not: client tokens that are idempotent and bound to their parameters, instances that are pending before they
run and known to one call before they are listed by the next, pages, refused parameters and filters, roles that have to
exist and that trust and allow what their policies say, signatures that are verified, and, on demand, throttling, no
capacity and lost answers.
"""
