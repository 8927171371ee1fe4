"""What became of a rollout, for people and tools that were not there.

    facts (from the store, cleaned once) > html, markdown, junit, tabular

All forms tell the same facts.  No plug-in input is among them, only the paths that changed.
"""
