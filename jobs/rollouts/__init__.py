"""Rollouts: what a person writes, which pools it means, and the plan that follows.  Pure rules."""
