"""Connects without blocking and becomes another program at once, or a little later, each time by another pause.

    exec_fresh.py ADDRESS PORT COUNT    prints how many of the programs got their line back
"""
import os
import socket
import sys
import time

where, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
good = 0
for i in range(count):
    pid = os.fork()
    if not pid:
        other = socket.create_connection(where) # keeps the program busy before the exec
        sock = socket.create_connection(where, timeout=30)
        sock.setblocking(True)
        sock.set_inheritable(True)
        until = time.monotonic() + i % 100 * 0.00005
        while time.monotonic() < until:
            pass
        fd = sock.fileno()
        other.sendall(b"quiet\n" * 1000)
        os.execv("/bin/sh", ["sh", "-c", f"echo line >&{fd}; read reply <&{fd}; [ \"$reply\" = line ]"])
    good += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print(good, "of", count)
