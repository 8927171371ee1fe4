"""The process: commands, the loop that claims and runs jobs, and everything that speaks HTTP."""
