"""How many job requests a second the HTTP interface takes in on one core, each on the disk."""
