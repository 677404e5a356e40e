"""Task logs as the api-server shows them: read from the objects that agents ship, never from another node.

Nothing is uploaded from here. A task's process writes a file, the agent of its node ships it while it is written, and
what arrived is what there is to see, whether the attempt runs, has ended or was killed with its node.
"""
