"""What became of the jobs, in the same words on every surface.

results    the canonical line of one job, and the recap of a run
explain    why a job or pool is where it is       reasons, waits: the sentences
"""
