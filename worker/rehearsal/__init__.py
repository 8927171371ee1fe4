"""A rollout beforehand: the production rules and steps on a clock that jumps, in a made-up cloud.

    forecast > one_run > book (what a store would hold), requests (what a cloud would answer)
                                                          > fates, agenda

Real are: every decision about the rollout (`jobs.rollouts.advancing`) and what an advance makes
of it (`jobs.store.steering`), every step of a job (`worker.executor`) with its rules
(`jobs.decide`), the pace of requests (`jobs.pacing`), and how a plug-in on a pool lives
(`worker.simulator.state`).  Left out are the disk, the sockets, and several workers at once.
"""
