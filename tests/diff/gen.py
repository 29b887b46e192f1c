#!/usr/bin/env python3
"""gen.py - scripts for the differential interpreter, from a seed.

usage: gen.py SEED [COUNT]

A step is only generated where plain TCP has exactly one answer (gen_model.py), and no step that
nothing can end is left waiting.
"""
import random
import sys

from gen_io import Io
from gen_life import Life
from gen_model import End
from gen_ready import Ready


class Maker(Io, Ready, Life):
    """Draws the steps."""

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
    s = Maker(rng)
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
