"""A cluster's own packages, laid over its runtime's: solved, installed aside and checked before any node gets them.

    python -I -m updraft_airflow.environment --request request.json

runs with the runtime's own interpreter, under limits: to make it as a builder's user, and, once the agent has taken
that over, to check it as the cluster's, who can't change it. On standard output it says, one JSON object a line, which
stage began, and at last `{"ready": true}` or `{"refused": cause, "message": …}`. The agent moves it to its place.
Packages of the runtime are never changed and never shadowed: the new environment looks for modules there first.
"""
