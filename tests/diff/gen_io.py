"""gen_io.py - steps that move bytes: every call that reads or writes, small and in bulk."""
from gen_model import QUEUE_MAX, Script

SIZES = [0, 1, 2, 3, 5, 7, 16, 22, 100, 255, 512, 1000, 1400, 4096, 8191, 9000, 16383, 16384, 16385, 20000]
BULK = [1, 1000, 16384, 70000, 262144, 1 << 20, 2500000, 10 << 20]


class Io(Script):
    def write(self):
        e = self.live(lambda e: not e.sent_fin and not e.peer.closed and not e.tight)
        if not e:
            return
        space = QUEUE_MAX - e.peer.queue
        n = min(self.rng.choice(SIZES), space)
        if self.chance(0.2):
            n = min(self.rng.randint(0, 20000), space)
        name = self.ref(e)
        w = self.who(name)
        kind = self.rng.randint(0, 11)
        if kind <= 2:
            self.say(f"{w}write {name} {n}")
        elif kind <= 4:
            self.say(f"{w}send {name} {n} {self.pick('', 'n', 'd', 'nd')}".rstrip())
        elif kind == 5 and n > 1:
            more = self.rng.randint(1, n)
            self.say(f"{w}send {name} {more} m")
            self.say(f"{w}send {name} {max(n - more, 1)}")
            n = more + max(n - more, 1)
        elif kind == 6:
            self.say(f"{w}writev {name} {self.vec(n)}")
        elif kind == 7:
            self.say(f"{w}sendmsg {name} {self.vec(n)} {self.pick('', 'n', 'd')}".rstrip())
        elif kind == 8:
            parts = [self.rng.randint(0, n // 3) for _ in range(self.rng.randint(1, 3))]
            self.say(f"{w}sendmmsg {name} {';'.join(self.vec(p) for p in parts)}")
            n = sum(parts)
        elif kind == 9 and n:
            if self.chance(0.5):
                self.say(f"{w}sendfile {name} {n} {n}")
            else:
                skip = self.rng.randint(0, 50)
                self.say(f"{w}sendfile {name} {n + skip} {n} {skip}")
        elif kind == 10 and n:
            self.say(f"{w}spliceout {name} {n}")
        else:
            self.say(self.pick(f"{w}pwritev2 {name} {self.vec(n)}", f"{w}sendto {name} {n} n addr"))
        e.peer.queue += n

    def read(self):
        e = self.live(lambda e: not e.tight)
        if not e:
            return
        self.settle(e)
        n = self.rng.choice(SIZES) if self.chance(0.7) else self.rng.choice([e.queue, e.queue + 1, 100000, 1 << 20])
        if n == 0 and self.chance(0.6):
            n = 1
        name = self.ref(e)
        w = self.who(name)
        blocks = self.would_block(e, n)
        safe = not blocks or e.nonblock or e.timeo
        take = min(n, e.queue)
        kind = self.rng.randint(0, 13)
        d = "" if safe and self.chance(0.7) else "d"
        if kind <= 3 and (safe or n == 0):
            self.say(f"{w}read {name} {n}")
        elif kind <= 5:
            self.say(f"{w}recv {name} {n} {d}".rstrip())
        elif kind == 6:
            self.say(f"{w}recv {name} {n} p{d}")
            take = 0
        elif kind == 7 and (d or e.queue >= n or e.got_fin or e.nonblock):
            self.say(f"{w}recv {name} {n} w{d}")
        elif kind == 8:
            self.say(f"{w}recv {name} {n} t{d}")
        elif kind == 9:
            self.say(f"{w}recvmsg {name} {self.vec(n)} {d}".rstrip())
        elif kind == 10 and safe and n:
            self.say(f"{w}{self.pick('readv', 'preadv2')} {name} {self.vec(n)}")
        elif kind == 11:
            parts = [self.rng.randint(1, 1 + n // 2) for _ in range(self.rng.randint(1, 3))]
            self.say(f"{w}recvmmsg {name} {';'.join(map(str, parts))} d")
            take = min(sum(parts), e.queue)
        elif kind == 12 and e.queue and e.lowat == 1:
            take = self.rng.randint(1, e.queue)
            self.say(f"{w}spliceexact {name} {take}")
        else:
            self.say(f"{w}recvfrom {name} {n} {d}".rstrip())
        e.queue -= take

    def buffers(self):
        e = self.live(lambda e: e.queue == 0 and e.peer.queue == 0)
        if not e:
            return
        which = self.pick("rcvbuf", "sndbuf")
        size = self.pick(1, 2304, 4096, 10000, 50000, 200000, 400000)
        self.say(f"setopt {self.ref(e)} {which} {size}")
        self.say(f"getopt {self.ref(e)} {which}")
        if size < 200000:
            e.tight = e.peer.tight = True
        self.bulk(e)

    def bulk(self, e=None):
        e = e or self.live(lambda e: e.peer.queue == 0 and not e.sent_fin and not e.peer.closed
                           and e.peer.lowat == 1 and not e.peer.rd_shut)
        if not e or e.sent_fin or e.peer.closed or e.closed or e.peer.lowat != 1 or e.peer.rd_shut:
            return
        a, b = self.ref(e), self.ref(e.peer)
        total = self.pick(*BULK[:3]) if e.tight else self.rng.choice(BULK[:6] if self.chance(0.9) else BULK)
        out = self.pick(1, 100, 1400, 16384, 65536, 1 << 20, 10 << 20)
        into = self.pick(1, 7, 1000, 16384, 65536, 1 << 20)
        out, into = max(out, total // 1500, 1), max(into, total // 1500, 1)
        if self.chance(0.5):
            self.say(f"pump {a} {b} {total} {out} {into}")
        elif self.chance(0.6) and not e.timeo and not e.peer.timeo and not (e.cold and e.peer.nonblock):
            self.threads_carry(e, total, out, into)
        elif e.peer.timeo or e.tight or e.peer.tight:  # how far a reader gets in time is the machine's affair
            return
        else:
            self.say(f"fill {a} {max(out, 1000)}")
            self.say(f"drain {b} {a} {max(into, 16384)}")
        e.cold = e.peer.cold = False

    def threads_carry(self, e, total, out, into):
        """A writer in a thread, the reader here; or a file that is sent and closed behind."""
        a, b = self.ref(e), self.ref(e.peer)
        if total <= 1 << 20 and total and not e.tight and self.chance(0.3):
            self.say(f"@t1& sendfileall {a} {total}")
            self.say(f"{self.pick('recv', 'recvmsg')} {b} {min(total, 1000)} w")
            self.say(f"spliceexact {b} {total - min(total, 1000)}")
        else:
            self.say(f"@t1& writeall {a} {total} {out}{self.pick('', '', ' m')}")
            self.say(f"readexact {b} {total} {into}")
        self.say("@t1 wait")

    def bad(self):
        e = self.live(lambda e: True)
        if not e:
            return
        self.settle(e)
        name = self.ref(e)
        if self.chance(0.5):
            verb = self.pick("read", "recv", "readv", "recvmsg")
            if verb in ("read", "readv") and self.would_block(e, 5) and not e.nonblock and not e.timeo:
                return
            self.say(f"bad {verb} {name} 5")
        elif not e.sent_fin and self.chance(0.6):
            self.say(f"bad {self.pick('write', 'send', 'writev', 'sendmsg')} {name} 5")
        else:
            self.say(f"odd {self.pick('readv', 'writev', 'readvcount', 'writevnone', 'readvnone', 'recvmsg', 'sendmsg', 'pread', 'pwrite', 'lseek')} {name}")
