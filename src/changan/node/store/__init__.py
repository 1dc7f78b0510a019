"""What rests on disk: the block log, the indexes, checkpoints, and the lock of a home."""
