"""The interface over HTTP: one table of routes, thin handlers, rules as plain functions."""
