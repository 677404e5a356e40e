"""A cluster's own packages, laid over its runtime's: solved, installed aside and checked before any node gets them.

    python -I -m updraft_airflow.environment --request request.json

runs with the runtime's own interpreter, as the cluster's user, under limits. On standard output it says, one JSON
object a line, which stage began, and at last `{"ready": true}` or `{"refused": cause, "message": …}`. What it makes is
`<staging>/environment`; the agent moves it to its place. Packages of the runtime are never changed and never shadowed:
the new environment looks for modules there first.
"""
