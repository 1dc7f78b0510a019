"""Contracts to start from: each runs as it stands, and each is short enough to read in one sitting."""
