"""Who we work as: where credentials come from, how they are renewed, and which one is used.

The order of the sources is `chain.ORDER`, and two are never mixed: key, secret, project,
region and IAM's address of one request are all from the same source.
"""
