"""Results back to other systems: what is told, to whom, and when it is tried again."""
