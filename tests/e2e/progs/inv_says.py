"""Gets one refusal out of the object, as a program of the mesh that connects, or accepts, and then asks too much.

    inv_says.py CASE ADDRESS PORT [PROGRAM]

Cases of a connecting program: those of the table below. PROGRAM is a static one for those that start it.
"""
import ctypes
import os
import resource
import signal
import socket
import sys
import time

CASE, ADDRESS, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
SO_ZEROCOPY, TCP_ULP = 60, 31


def connected():
    sock = socket.create_connection((ADDRESS, PORT))
    sock.sendall(b"once")
    assert sock.recv(10) == b"once"
    return sock


def fails(call, *arguments):
    try:
        call(*arguments)
    except OSError as problem:
        print(CASE, problem)
        return
    sys.exit(f"{CASE}: not refused")


def room():
    """No memory is left when the first connection is to be protected: somebody from outside, unseen, has limited it."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        size = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    me = str(os.getpid())
    if not (child := os.fork()):
        os.execv(sys.argv[4], [sys.argv[4], "/usr/bin/prlimit", "--pid", me, f"--as={size}:{size}"])
    os.waitpid(child, 0)
    sock = socket.socket()
    fails(sock.connect, (ADDRESS, PORT))


def oob():
    fails(connected().send, b"x", socket.MSG_OOB)


def zerocopy():
    fails(connected().setsockopt, socket.SOL_SOCKET, SO_ZEROCOPY, 1)


def ulp():
    fails(connected().setsockopt, socket.IPPROTO_TCP, TCP_ULP, b"tls")


def passed():
    """To a process that is not preloaded."""
    place = socket.socket(socket.AF_UNIX)
    place.bind("")
    place.listen(1)
    child = os.fork()
    if not child:
        for name in ("LD_PRELOAD", "MTLSWRAP_CONFIG"):
            os.environ.pop(name, None)
        script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(bytes.fromhex(sys.argv[1])); s.recv(1)")
        # The exec family carries the preloading on: a static program starts the interpreter without it.
        os.execv(sys.argv[4], [sys.argv[4], "/usr/bin/python3", "-c", script, place.getsockname().hex()])
    friend, _ = place.accept()
    sock = connected()
    fails(socket.send_fds, friend, [b"x"], [sock.fileno()])
    friend.close()
    os.waitpid(child, 0)


def fetched():
    """A connection of a child, by pidfd_getfd."""
    here, there = socket.socketpair()
    child = os.fork()
    if not child:
        sock = connected()
        there.sendall(bytes([sock.fileno()]))
        there.recv(1)
        os._exit(0)
    number = here.recv(1)[0]
    if libc.pidfd_getfd(os.pidfd_open(child), number, 0) >= 0:
        sys.exit("not refused")
    here.sendall(b"g")
    os.waitpid(child, 0)


def started(fd):
    """A static program, with the connection as its descriptor fd."""
    sock = connected()
    os.dup2(sock.fileno(), fd)
    sock.close()
    if fd > 2:
        if not (child := os.fork()):
            os.execv(sys.argv[4], [sys.argv[4], "/bin/true"])
        os.waitpid(child, 0)
    else:
        fails(os.execv, sys.argv[4], [sys.argv[4], "/bin/true"])


def handed():
    """No file may grow, so the state of the connection cannot be written; the next image must not use it."""
    sock = connected()
    os.set_inheritable(sock.fileno(), True)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    os.execv("/usr/bin/python3", ["python3", "-c", "import os, sys\ntry: os.write(int(sys.argv[1]), b'x')\n"
                                  "except OSError: sys.exit()\nsys.exit('not refused')", str(sock.fileno())])


def plain_accept():
    """Accepts one connection and reads it to its end, whatever that is."""
    listener = socket.create_server((ADDRESS, PORT))
    sock, _ = listener.accept()
    try:
        while sock.recv(1000):
            pass
    except OSError:
        pass


def hear():
    """Accepts one connection, and is satisfied with its first bytes."""
    sock, _ = socket.create_server((ADDRESS, PORT)).accept()
    sock.recv(1000)


def leave():
    """Connects, writes and closes; lives on until the handshake is given up."""
    sock = socket.create_connection((ADDRESS, PORT))
    sock.sendall(b"once")
    sock.close()
    time.sleep(4)


def plain_connect():
    """Connects and reads to the end, whatever that is."""
    try:
        sock = socket.create_connection((ADDRESS, PORT))
        sock.sendall(b"once")
        while sock.recv(1000):
            pass
    except OSError:
        pass


CASES = {"room": room, "oob": oob, "zerocopy": zerocopy, "ulp": ulp, "passed": passed, "fetched": fetched,
         "stdout": lambda: started(1), "other": lambda: started(7), "handed": handed,
         "accept": plain_accept, "hear": hear, "connect": plain_connect, "leave": leave}
CASES[CASE]()
