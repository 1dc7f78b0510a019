"""Ordering between organisations: CometBFT decides what comes next, this node executes it."""
