"""Evidence (存证): who held which digest, since when."""

from typing import Annotated

from annotated_types import MaxLen

from changan.contract import U64, Address, Contract, Digest, Event, Map, Record, Text, call, emit, require, view

Note = Annotated[Text, MaxLen(512)]


class Entry(Record):
    """What is known of one piece of evidence."""

    owner: Address
    time: U64
    note: Note


class Stored(Event):
    """A digest was stored for the first time."""

    digest: Digest
    owner: Address


class Evidence(Contract):
    """A digest stored once stays, with its owner and the time."""

    entries: Map[Digest, Entry]
    count: U64

    @call
    def put(self, digest: Digest, note: Note) -> None:
        """Store a digest; nobody can store it again."""
        require(digest not in self.entries, "the digest is stored already")
        self.entries[digest] = Entry(owner=self.caller, time=self.time, note=note)
        self.count += 1
        emit(Stored(digest=digest, owner=self.caller))

    @view
    def get(self, digest: Digest) -> Entry:
        """Return what is known of a digest."""
        require(digest in self.entries, "the digest is unknown")
        return self.entries[digest]

    @view
    def total(self) -> U64:
        """Return how many digests are stored."""
        return self.count
