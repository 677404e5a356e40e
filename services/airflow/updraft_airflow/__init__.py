"""The part of Updraft that lives inside Airflow 3: identity, DAG versions, the pre-imported parent.

Nothing is imported here: each module is loaded by Airflow on its own, and start-up time is a feature.
"""
