"""The store alone, from a thousand to a million queued jobs, beside peers on the same machine.

`subjects` are what is measured (plugwave on both engines, pgqueuer, bare SQL), `growing` measures
one of them as its queue grows, `lives` measures whole workers (memory, recovery), `pages` writes
STORE.md.
"""
