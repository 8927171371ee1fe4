"""What must be done and what was done: rules, words and storage, without HTTP and settings.

Data goes one way: intake → store → claim → limit → call → verify → record → report.
This package owns the two ends (`intake`, `report`), the store between them, and every
rule in the middle as a pure function of values.
"""
