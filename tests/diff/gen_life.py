"""gen_life.py - steps around the bytes: options, duplicates, threads, children, signals, and the ends of
connections.
"""
from gen_model import Script


class Life(Script):
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
        else:
            self.settle(e)
            self.say(f"fionread {name}")

    def beside(self):
        """Another program runs while connections are open."""
        if not self.child:
            self.say(f"beside {self.pick('fork', 'vfork', 'spawn', 'system', 'popen')}")

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
        kind = self.rng.randint(0, 3)
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
        who = "c1" if self.child and name in self.child_names and not e.cold and self.chance(0.5) else "t1"
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
            self.say(f"@{who} wait")
            return
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
        if self.child or self.epolls:
            return
        self.child = True
        self.child_names = [n for e in self.ends if not e.closed for n in e.names]
        self.say("fork c1")

    def half_close(self):
        e = self.live(lambda e: not e.sent_fin and not e.rd_shut)
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
            aborts = False
            if self.chance(0.2) and not (e.cold and (e.sent_fin or e.peer.queue)):
                how = self.pick('0', '0', '1', 'off')
                aborts = how == '0'
                self.say(f"setopt {e.names[0]} linger {how}")
            # The end that a cold shutdown promises comes behind the handshake, which an abort does not wait for.
            if self.chance(0.3) and not e.sent_fin and not (e.cold and aborts):
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
                self.say(f"left {self.ref(e.peer)}")
            if cold:
                self.say(f"settle {self.ref(e.peer)}")
            if not e.peer.rd_shut:
                self.aftermath(e.peer)

    def aftermath(self, e):
        """After the other side is gone: nothing here can block for long."""
        name = self.ref(e)
        for _ in range(self.rng.randint(1, 6)):
            self.say(self.pick(f"poll 1000 {name}:i{'' if e.tight else 'o'}r", f"select 1000 r:{name}{'' if e.tight else f' w:{name}'}", f"recv {name} 100 d",
                               f"recv {name} 1000000 d", f"write {name} 10", f"send {name} 10 n",
                               f"getopt {name} error", f"fionread {name}", f"read {name} 7",
                               f"shutdown {name} w", f"getpeername {name}", f"readeof {name} 5000",
                               f"recv {name} 5 pd", f"writev {name} 0,5"))
