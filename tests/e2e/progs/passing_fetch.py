"""Fetches descriptors out of a process by pidfd_getfd: of a child, which holds a connection, a pipe and a listening socket, and of
this process itself.

    passing_fetch.py ADDRESS PORT MARKER
"""
import ctypes
import errno
import os
import socket
import sys

address, port, marker = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
libc = ctypes.CDLL(None, use_errno=True)


def fetch(pid, fd):
    pidfd = os.pidfd_open(pid)
    got = libc.pidfd_getfd(pidfd, fd, 0)
    code = ctypes.get_errno()
    os.close(pidfd)
    if got < 0:
        raise OSError(code, os.strerror(code))
    return got


def attempt(what, pid, fd):
    try:
        os.close(fetch(pid, fd))
        print(what, "fetched", flush=True)
    except OSError as e:
        print(what, errno.errorcode[e.errno], flush=True)


here, there = socket.socketpair()
child = os.fork()
if child == 0:
    here.close()
    sock, listener = socket.create_connection((address, port), timeout=None), socket.create_server((address, 0))
    ends = os.pipe()
    there.sendall(bytes([sock.fileno(), listener.fileno(), ends[0]]))
    there.recv(1)
    sock.sendall(b"child " + marker + b"\n")
    print(sock.makefile().readline(), end="", flush=True)
    os._exit(0)
there.close()
for what, fd in zip(("connection", "listener", "pipe"), here.recv(3)):
    attempt(what, child, fd)
here.sendall(b"g")
os.waitpid(child, 0)

own = socket.create_connection((address, port), timeout=None)
answers = own.makefile()
own.sendall(b"one " + marker + b"\n")
print(answers.readline(), end="")
second = fetch(os.getpid(), own.fileno())
os.write(second, b"two " + marker + b"\n")
print(answers.readline(), end="")
os.close(second)
own.sendall(b"three " + marker + b"\n")
print(answers.readline(), end="")
