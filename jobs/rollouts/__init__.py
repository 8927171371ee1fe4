"""Rollouts: what a person writes, the plan that follows, and when it may go on.  Pure rules."""
