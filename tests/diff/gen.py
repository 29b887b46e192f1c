#!/usr/bin/env python3
"""gen.py - scripts for the differential interpreter, from a seed.

usage: gen.py SEED [COUNT]

A small model of TCP (bytes queued, halves closed, who blocks) keeps the scripts to what TCP
determines: a step is only generated where plain TCP has exactly one answer, and no step that
nothing can end is left waiting. The model never predicts results; the plain run does.
"""
import random
import sys

SIZES = [0, 1, 2, 3, 5, 7, 16, 22, 100, 255, 512, 1000, 1400, 4096, 8191, 9000, 16383, 16384, 16385, 20000]
QUEUE_MAX = 30000  # what surely fits the default buffers, however it is cut
BULK = [1, 1000, 16384, 70000, 262144, 1 << 20, 2500000, 10 << 20]


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

    # -- connections ---------------------------------------------------------------------------

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
        if self.child and name in self.child_names and self.chance(p):
            return "@c1 "
        return "@t2 " if self.chance(0.08) else ""

    def live(self, want):
        ends = [e for e in self.ends if not e.closed and want(e)]
        return self.rng.choice(ends) if ends else None

    # -- writing -------------------------------------------------------------------------------

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
        elif kind == 5 and n > 1 and not e.cold:
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

    # -- reading -------------------------------------------------------------------------------

    def settle(self, e):
        """A cold end's bytes arrive when the handshake lets them."""
        if e.cold and (e.queue or e.got_fin):
            self.say(f"settle {self.ref(e)}")
            e.cold = e.peer.cold = False

    def would_block(self, e, n):
        if e.got_fin or e.rd_shut:
            return False
        return e.queue < max(1, min(e.lowat, n))

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

    # -- readiness -----------------------------------------------------------------------------

    def readiness(self):
        ends = [e for e in self.ends if not e.closed and not e.cold]
        if not ends:
            return
        some = self.rng.sample(ends, self.rng.randint(1, min(4, len(ends))))
        wants = [(self.ref(e), self.pick("i", "i", "io", "ir", "o", "ior"), e) for e in some]
        ready = any("o" in want or e.readable() or e.got_fin for _, want, e in wants)
        ms = 1000 if ready else self.pick(0, 0, 8)
        style = self.rng.randint(0, 4)
        if style == 0:
            self.say(f"poll {ms} " + " ".join(f"{n}:{w}" for n, w, _ in wants))
        elif style == 1:
            self.say(f"ppoll {ms} {self.pick('-', 'open', 'block')} " + " ".join(f"{n}:{w}" for n, w, _ in wants))
        else:
            sets = []
            ready = False
            for n, w, e in wants:
                sets += [f"r:{n}"] if "i" in w else []
                sets += [f"w:{n}"] if "o" in w else []
                ready |= ("i" in w and e.readable()) or "o" in w
            sets = sets or [f"x:{wants[0][0]}"]
            ms = 1000 if ready else self.pick(0, 8)
            verb = "select" if style < 4 else "pselect"
            extra = "" if verb == "select" else self.pick("- ", "open ", "block ")
            self.say(f"{verb} {ms} {extra}" + " ".join(sets))

    def epoll(self):
        if not self.epolls or self.chance(0.1):
            name = self.name()
            self.say(f"epcreate {name}")
            self.epolls.append((name, {}))
        name, members = self.rng.choice(self.epolls)
        free = [e for e in self.ends if not e.closed and not e.cold and e not in members]
        if free and (not members or self.chance(0.4)):
            e = self.rng.choice(free)
            mode = self.pick("i", "i", "io", "ir", "iE", "iorE", "i1", "iE1", "ix", "o", "oE")
            self.say(f"epadd {name} {e.names[0]} {mode}")
            members[e] = mode
            return
        if members and self.chance(0.2):
            e = self.rng.choice(list(members))
            if e.closed or "x" in members[e]:
                return
            mode = self.pick("i", "io", "iE", "i1", "o", "-")
            self.say(f"epmod {name} {e.names[0]} {mode}")
            members[e] = mode
            return
        if members and self.chance(0.08):
            e = self.rng.choice(list(members))
            if not e.closed:
                self.say(f"epdel {name} {e.names[0]}")
                del members[e]
            return
        sure = any(set(m) <= set("ior") and not e.closed and ("o" in m or ("i" in m and e.readable()))
                   for e, m in members.items())
        self.say(f"{self.pick('epwait', 'epwait', 'epwait2')} {name} 16 {1000 if sure else 10}")

    def nested(self):
        if len(self.epolls) < 2:
            return
        (outer, a), (inner, b) = self.epolls[:2]
        if b is not None and not getattr(self, "is_nested", False):
            self.is_nested = True
            self.say(f"epadd {outer} {inner} {self.pick('i', 'iE')}")
        self.say(f"epwait {outer} 16 10")

    # -- options and questions -----------------------------------------------------------------

    def option(self):
        e = self.live(lambda e: True)
        if not e:
            return
        name = self.ref(e)
        kind = self.rng.randint(0, 9)
        if kind == 0:
            e.nonblock = not e.nonblock
            self.say(f"nonblock {name} {int(e.nonblock)}{self.pick('', ' ioctl')}")
        elif kind == 1 and not e.got_fin:
            e.lowat = self.pick(1, 1, 2, 10, 100, 1000)
            self.say(f"setopt {name} rcvlowat {e.lowat}")
            self.say(f"getopt {name} rcvlowat")
        elif kind == 2:
            e.timeo = self.chance(0.7)
            self.say(f"setopt {name} rcvtimeo {8 if e.timeo else 0}")
            self.say(f"getopt {name} rcvtimeo")
        elif kind == 3:
            self.say(f"setopt {name} sndtimeo {self.pick(20, 1000)}")
            self.say(f"getopt {name} sndtimeo")
        elif kind == 4:
            self.say(f"getopt {name} {self.pick('error', 'type', 'domain', 'rcvlowat', 'sndlowat', 'acceptconn')}")
        elif kind == 5:
            self.say(f"getopt {name} {self.pick('linger', 'keepalive', 'protocol', 'oobinline', 'nonsense')}")
        elif kind == 6:
            self.say(f"{self.pick('getsockname', 'getpeername')} {name}")
        elif kind == 7:
            self.say(f"getflags {name}")
        elif not e.cold:
            self.say(f"fionread {name}")

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

    def masked(self):
        """A signal that waits behind the mask until a call lets it through."""
        ends = [e for e in self.ends if not e.closed and not e.cold and not e.readable()]
        if not ends:
            return
        name = self.ref(self.rng.choice(ends))
        self.say("sigmask block USR1")
        if self.chance(0.7):
            self.say("kill m USR1")
            self.say(self.pick(f"ppoll 1000 open {name}:i", f"pselect 1000 open r:{name}"))
        self.say(self.pick(f"ppoll 5 open {name}:i", f"pselect 5 block r:{name}", f"ppoll 5 - {name}:ir"))
        self.say("sigmask open USR1")

    def beside(self):
        """Another program runs while connections are open."""
        if not self.child:
            self.say(f"beside {self.pick('fork', 'vfork', 'spawn', 'system', 'popen')}")

    def bad(self):
        e = self.live(lambda e: not e.cold)
        if not e:
            return
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

    # -- duplicates, threads, children, signals ------------------------------------------------

    def dup(self):
        e = self.live(lambda e: True)
        if not e:
            return
        if len(e.names) > 1 and self.chance(0.5):
            name = e.names[-1] if self.chance(0.5) else e.names[1]
            e.names.remove(name)
            self.say(f"close {name}" if self.chance(0.8) else f"closerange {name} {name}")
            return
        new = self.name()
        kind = self.rng.randint(0, 2 if e.cold else 3)
        old = self.ref(e)
        if kind == 0:
            self.say(f"dup {new} {old}")
        elif kind == 1:
            self.say(f"dupfd {new} {old} {self.pick(0, 20, 100)}{self.pick('', ' c')}")
        elif kind == 2:
            self.say(f"epcreate {new}")
            self.say(f"{self.pick('dup2', 'dup3')} {new} {old}")
        else:
            u, v = self.name(), self.name()
            self.say(f"upair {u} {v}")
            self.say(f"sendfd {u} {old}")
            self.say(f"recvfd {v} {new}")
        e.names.append(new)

    def blocked(self):
        """A reader that waits in a thread (or the child) while the writer comes late."""
        e = self.live(lambda e: e.queue == 0 and not e.got_fin and not e.rd_shut and not e.nonblock
                      and not e.timeo and e.lowat == 1 and not e.tight and not e.peer.tight
                      and not e.peer.sent_fin)
        if not e:
            return
        name, other = self.ref(e), self.ref(e.peer)
        who = "c1" if self.child and name in self.child_names and self.chance(0.5) else "t1"
        n = self.pick(1, 10, 1000, 30000)
        style = self.rng.randint(0, 7)
        if style == 0:
            self.say(f"@{who}& recv {name} {n} w")
            self.say(f"write {other} {n // 2}")
            self.say(f"write {other} {n - n // 2}")
        elif style == 1:
            self.say(f"sigaction USR1 restart")
            self.say(f"@{who}& read {name} {n}")
            self.say(f"kill {who} USR1")
            self.say(f"write {other} {n}")
        elif style == 2:
            if who == "c1":
                return
            self.say("sigaction USR1 interrupt")
            self.say(f"@{who}& recv {name} {n}")
            self.say(f"kill {who} USR1")
        elif style == 3 and who == "t1":
            self.say(f"@t1& {self.pick('read', 'recv')} {name} {n}")
            self.say("cancel t1")
            return
        elif style == 4:
            self.say(f"@{who}& poll 2000 {name}:ir")
            self.say(f"write {other} {n}")
            e.queue += n
        elif style == 5:
            self.say(f"@{who}& select 2000 r:{name}")
            self.say(f"write {other} {n}")
            e.queue += n
        else:
            self.say(f"@{who}& {self.pick('read', 'recv', 'recvfrom', 'readv', 'recvmsg')} {name} {n}")
            self.say(f"write {other} {n}")
        self.say(f"@{who} wait")
        e.cold = e.peer.cold = False

    def timer(self):
        e = self.live(lambda e: self.would_block(e, 5) and not e.nonblock and not e.timeo and not e.tight)
        if not e:
            return
        self.say("timer 10")
        name = self.ref(e)
        self.say(self.pick(f"recv {name} 5", f"read {name} 5", f"poll 2000 {name}:i" if not e.cold else f"recv {name} 1",
                           f"recvmsg {name} 2,3"))
        self.say("timer 0")

    def fork(self):
        if self.child or any(e.cold for e in self.ends) or self.epolls:
            return
        self.child = True
        self.child_names = [n for e in self.ends if not e.closed for n in e.names]
        self.say("fork c1")

    # -- ends ----------------------------------------------------------------------------------

    def half_close(self):
        e = self.live(lambda e: not e.sent_fin and not e.cold and not e.rd_shut)
        if not e:
            return
        how = self.pick("w", "w", "w", "r")
        self.say(f"shutdown {self.ref(e)} {how}")
        if how == "w":
            e.sent_fin = True
        else:
            e.rd_shut = True

    def finish(self):
        """Ends every connection in one of the ways there are, and looks at the other side."""
        if self.child and self.chance(0.7):
            self.say("exit c1")
            self.child = False
        for e in self.ends:
            if e.closed or self.child or not self.chance(0.6):
                continue
            self.settle(e)
            if self.chance(0.2) and not e.cold:
                self.say(f"setopt {e.names[0]} linger {self.pick('0', '0', '1', 'off')}")
            if self.chance(0.3) and not e.sent_fin:
                self.say(f"shutdown {e.names[0]} w")
                e.sent_fin = True
            cold = e.cold
            e.cold = e.peer.cold = False
            for name in e.names:
                self.say(f"close {name}")
            e.closed = True
            if e.peer.closed:
                continue
            if e.was_cold or e.tight:  # what was begun goes on behind the close
                self.say("sleep 100")
            if cold:
                self.say(f"settle {self.ref(e.peer)}")
            if not e.peer.rd_shut:
                self.aftermath(e.peer)

    def aftermath(self, e):
        """After the other side is gone: nothing here can block for long."""
        name = self.ref(e)
        for _ in range(self.rng.randint(1, 6)):
            self.say(self.pick(f"poll 1000 {name}:ior", f"select 1000 r:{name} w:{name}", f"recv {name} 100 d",
                               f"recv {name} 1000000 d", f"write {name} 10", f"send {name} 10 n",
                               f"getopt {name} error", f"fionread {name}", f"read {name} 7",
                               f"shutdown {name} w", f"getpeername {name}", f"readeof {name} 5000",
                               f"recv {name} 5 pd", f"writev {name} 0,5"))

    def steps(self, count):
        actions = ([self.write] * 10 + [self.read] * 12 + [self.readiness] * 7 + [self.epoll] * 7 + [self.option] * 5
                   + [self.dup] * 2 + [self.blocked] * 2 + [self.bad] + [self.half_close] + [self.bulk]
                   + [self.fork, self.timer, self.nested, self.masked, self.beside])
        for _ in range(count):
            if self.chance(0.02):
                self.buffers()
            self.rng.choice(actions)()


def connecting(s):
    """The steps of making a connection, one by one, with the mistakes that belong to them."""
    listener, client, server = s.name(), s.name(), s.name()
    family = s.pick("4", "6")
    target = family if s.chance(0.7) else ("m" if family == "6" else "4")
    nb = s.pick("", "", "n", "c", "nc")
    s.say(f"socket {listener} {'6' if target == 'm' else family}")
    s.say(f"bind {listener} {'6 any' if target == 'm' else family}")
    if s.chance(0.2):
        s.say(f"socket {client} {family}")
        s.say(f"connect {client} {listener} {target}")
        s.say(f"getopt {client} error")
        s.say(f"poll 100 {client}:ior")
        s.say(f"close {client}")
    s.say(f"listen {listener} {s.pick(0, 1, 5, 100)}")
    s.say(f"getopt {listener} acceptconn")
    if s.chance(0.3):
        s.say(f"bind {listener} {family}")
        s.say(f"nonblock {listener} 1")
        s.say(f"accept {server} {listener}")
        s.say(f"read {listener} 5")
        s.say(f"write {listener} 5")
    s.say(f"socket {client} {family} {nb}".rstrip())
    if s.chance(0.3):
        s.say(s.pick(f"read {client} 5", f"write {client} 5", f"getpeername {client}", f"poll 0 {client}:io",
                     f"fionread {client}", f"setopt {client} rcvlowat 5"))
    tight = s.chance(0.2)
    if tight:
        s.say(f"setopt {client} {s.pick('rcvbuf', 'sndbuf')} {s.pick(2000, 60000, 300000)}")
    s.say(f"connect {client} {listener} {target}")
    if s.chance(0.4):
        s.say(f"connect {client} {listener} {target}")
    s.say(f"poll 1000 {client}:o")
    s.say(f"getopt {client} error")
    if s.chance(0.4):
        s.say(f"connect {client} {listener} {target}")
        s.say(f"connect {client} {listener} {target}")
    s.say(f"{s.pick('poll 1000 ' + listener + ':i', 'select 1000 r:' + listener)}")
    s.say(f"accept {server} {listener} {s.pick('-', 'n', 'c', 'nc', '-0', '0')}")
    for name in (client, server):
        s.say(f"getsockname {name}")
        s.say(f"getpeername {name}")
        s.say(f"getflags {name}")
    s.say(f"setopt {client} nodelay 1")
    s.say(f"setopt {server} nodelay 1")
    a, b = End(client), End(server)
    a.peer, b.peer = b, a
    a.nonblock = b.nonblock = True  # not known, so assume nothing waits
    a.cold = b.cold = a.was_cold = b.was_cold = True
    a.tight = b.tight = tight
    s.say(f"nonblock {client} 1")
    s.say(f"nonblock {server} 1")
    s.ends += [a, b]


def stdio(s):
    """Streams on both ends of a connection."""
    a, b = s.name(), s.name()
    s.say(f"pair {a} {b} {s.pick('4', '6')}{s.pick('', ' cold')}")
    s.say(f"fdopen 0 {a} {s.pick('w', 'r+', 'a', 'w+')}")
    s.say(f"fdopen 1 {b} {s.pick('r', 'r+')}")
    if s.chance(0.3):
        s.say(f"setvbuf 0 {s.pick('n', 'l', 'f')}")
    for _ in range(s.rng.randint(1, 5)):
        n = s.rng.randint(0, 300)
        s.say(s.pick(f"fput 0 {n}", f"fprint 0 word"))
        s.say("fflush 0")
        s.say(f"fline 1 {s.pick(400, 1000)}")
    s.say(f"dprintf {a} {s.rng.randint(1, 50)}")
    s.say("fline 1 100")
    if s.chance(0.5):
        s.say(f"stdout {a} 12")
        s.say("fline 1 100")
        s.say("fline 1 100")
    s.say(f"fput 0 {s.rng.randint(0, 9000)}")
    s.say("fclose 0")
    s.say(f"fread 1 {s.pick(100, 20000)}")
    s.say("fread 1 20000")
    s.say("fclose 1")


def script(seed):
    """The lines of one script."""
    rng = random.Random(seed)
    s = Script(rng)
    style = rng.random()
    if style < 0.04:
        stdio(s)
        return s.lines
    if style < 0.2:
        connecting(s)
    else:
        for _ in range(rng.choice([1, 1, 2, 3])):
            s.pair()
    s.steps(rng.randint(4, 26))
    s.finish()
    return s.lines


if __name__ == "__main__":
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    for number in range(first, first + (int(sys.argv[2]) if len(sys.argv) > 2 else 1)):
        print(f"=== seed-{number}")
        print("\n".join(script(number)))
