"""Drive a client's generators with prepared replies, as a connection does with those of a node."""

from __future__ import annotations

from changan.client.calls import Pause, Unanswered

LOST, DEAD = Unanswered("UNAVAILABLE", again=True), Unanswered("UNIMPLEMENTED", again=False)


def drive(steps, replies):
    """Drive to the end with prepared replies; return the result and the steps that were asked for."""
    asked = []
    reply = None
    try:
        while True:
            step = steps.send(reply)
            asked.append(step)
            reply = None if isinstance(step, Pause) else replies.pop(0)
    except StopIteration as end:
        return end.value, asked
