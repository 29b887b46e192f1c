"""gen_ready.py - steps that ask what is ready: poll, select, epoll, with signals behind a mask."""
from gen_model import Script


class Ready(Script):
    def readiness(self):
        ends = [e for e in self.ends if not e.closed]
        if not ends:
            return
        some = self.rng.sample(ends, self.rng.randint(1, min(4, len(ends))))
        for e in some:
            self.settle(e)
        # When a small send buffer has room again is a matter of delayed acknowledgements.
        wants = [(self.ref(e), self.pick(*(["i", "ir"] if e.tight else ["i", "i", "io", "ir", "o", "ior"])), e)
                 for e in some]
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
        free = [e for e in self.ends if not e.closed and e not in members]
        if free and (not members or self.chance(0.4)):
            e = self.rng.choice(free)
            self.settle(e)
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
        for e in members:
            self.settle(e)
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

    def masked(self):
        """A signal that waits behind the mask until a call lets it through."""
        ends = [e for e in self.ends if not e.closed and not e.readable()]
        if not ends:
            return
        name = self.ref(self.rng.choice(ends))
        self.say("sigmask block USR1")
        if self.chance(0.7):
            self.say("kill m USR1")
            self.say(self.pick(f"ppoll 1000 open {name}:i", f"pselect 1000 open r:{name}"))
        self.say(self.pick(f"ppoll 5 open {name}:i", f"pselect 5 block r:{name}", f"ppoll 5 - {name}:ir"))
        self.say("sigmask open USR1")
