"""What is told as JSON: the same shapes for commands and for the interface over HTTP."""
