"""Two names for one key, early returns in helpers, keys taken out and put back: what a clever engine could get wrong."""

from changan.contract import U64, Contract, Map, call, view


class Aliasing(Contract):
    """Keep this contract in every comparison of engines: without it, some of their faults went unseen."""

    rows: Map[U64, U64] = Map(default=U64(0))
    strict: Map[U64, U64]

    @call
    def twice(self, a: U64, b: U64) -> U64:
        """Write under two names that may be the same key."""
        self.rows[a] = U64(1)
        self.rows[b] += 1
        self.rows[a] += self.rows[b]
        return self.rows[a]

    @call
    def reinsert(self, a: U64, b: U64) -> U64:
        """Take a key out and put it back, reading it by another name."""
        self.strict[a] = U64(5)
        del self.strict[a]
        self.strict[b] = U64(7)
        before = self.strict.get(a, U64(0))
        self.strict[a] = before + 1
        return self.strict[b]

    @call
    def early(self, a: U64, b: U64) -> U64:
        """Use a helper that may return early after it wrote."""
        first = self._touch(a, b)
        self.rows[b] += first
        return self.rows[a] + self._touch(b, a)

    @call
    def loop(self, start: U64, count: U64) -> U64:
        """Leave and continue a loop while writing under moving keys."""
        total = U64(0)
        for i in range(start, start + count):
            if i % 3 == 1:
                continue
            if total > 100:
                break
            key = U64(i)
            self.rows[key] += key
            self.rows[start] += 1
            total += self.rows[key]
        return total

    @call
    def moved(self, a: U64, b: U64) -> U64:
        """Read by a name that gets another value in between."""
        key = a
        self.rows[key] = U64(3)
        key = b
        self.rows[key] += 4
        key = a
        return self.rows[key]

    @view
    def get(self, a: U64) -> U64:
        """Return a row."""
        return self.rows[a]

    def _touch(self, a: U64, b: U64) -> U64:
        if a == b:
            self.rows[a] += 10
            return self.rows[b]
        self.rows[b] += 1
        if self.rows[b] > 5:
            return self.rows[a]
        del self.rows[b]
        return U64(2)
