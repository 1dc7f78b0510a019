"""Talking to a node: signing requests, sending them, and reading what came of them."""
