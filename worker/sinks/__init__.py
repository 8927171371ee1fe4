"""Results back to other systems: each receiver has its own place and holds nobody up."""
