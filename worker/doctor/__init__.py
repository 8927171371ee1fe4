"""`plugwave doctor`: who we are, where we go, what we may, where jobs are kept.

`checkup` puts the checks in their order: `identity` (credential, clock, endpoint), `rights`
(project, pools, templates), `keeping` (store, breaker).  `lines` has their words.
"""
