"""gen_model.py - the small model of TCP that keeps a generated script to what TCP determines: bytes queued,
halves closed, who blocks. It never predicts results; the plain run does.
"""
QUEUE_MAX = 30000  # what surely fits the default buffers, however it is cut


class End:
    """One end of a connection: what waits to be read here, and how it may be used."""

    def __init__(self, name):
        self.names = [name]
        self.peer = None
        self.queue = 0
        self.nonblock = False
        self.lowat = 1
        self.timeo = False
        self.cold = False
        self.was_cold = False  # may linger after close until the peer has acknowledged everything
        self.tight = False
        self.sent_fin = False
        self.closed = False
        self.rd_shut = False
        self.watched = []

    @property
    def got_fin(self):
        return self.peer.sent_fin or self.peer.closed

    def readable(self):
        return self.queue >= self.lowat or self.got_fin or self.rd_shut


class Script:
    """The lines so far, and what is known of the connections in them."""

    def __init__(self, rng):
        self.rng = rng
        self.lines = []
        self.ends = []
        self.next_name = 0
        self.epolls = []
        self.child = False
        self.child_names = []

    def say(self, line):
        self.lines.append(line)

    def name(self):
        n = self.next_name
        self.next_name += 1
        return "abcdefghijklmnopqrstuvwxyz"[n % 26] + ("" if n < 26 else str(n // 26))

    def pick(self, *choices):
        return self.rng.choice(choices)

    def chance(self, p):
        return self.rng.random() < p

    def pair(self):
        a, b = End(self.name()), End(self.name())
        a.peer, b.peer = b, a
        cold = self.chance(0.2)
        a.cold = b.cold = a.was_cold = b.was_cold = cold
        self.say(f"pair {a.names[0]} {b.names[0]} {self.pick('4', '4', '6', 'm')}" + (" cold" if cold else ""))
        self.ends += [a, b]

    def ref(self, end):
        return self.rng.choice(end.names)

    def who(self, name, p=0.35):
        """Prefix: the child runs the step when it holds the descriptor too, sometimes a thread."""
        if self.child and name in self.child_names:
            # While one process shakes hands, the other may meet EAGAIN: the child waits until that is over.
            if self.chance(p) and not any(e.cold for e in self.ends if name in e.names):
                return "@c1 "
        return "@t2 " if self.chance(0.08) else ""

    def live(self, want):
        ends = [e for e in self.ends if not e.closed and want(e)]
        return self.rng.choice(ends) if ends else None

    def vec(self, n):
        parts = []
        for _ in range(self.rng.randint(0, 3)):
            part = self.rng.randint(0, n)
            parts.append(part)
            n -= part
            if self.chance(0.3):
                parts.append(0)
        parts.append(n)
        return ",".join(map(str, parts))

    def settle(self, e):
        """A cold end's bytes arrive when the handshake lets them."""
        if not e.cold or not (e.queue or e.got_fin):
            return
        for end in (e, e.peer):
            if not end.closed and (end.queue or end.got_fin):
                self.say(f"settle {self.ref(end)}")
            end.cold = False

    def would_block(self, e, n):
        if e.got_fin or e.rd_shut:
            return False
        return e.queue < max(1, min(e.lowat, n))
