"""Accepted connections handed to other processes over AF_UNIX sockets.

    passing.py handle PATH ADDRESS PORT        serves what it is handed, and what it accepts itself on PORT
    passing.py accept PATH ADDRESS PORT HOW    accepts connections and hands each to the process behind PATH
    passing.py workers ADDRESS PORT            the same with forked workers, which share a connection with their parent
    passing.py jailed DIRECTORY ADDRESS PORT   a child in a jail accepts and hands over to its parent, into which it cannot see
    passing.py ask ADDRESS PORT LINES MARKER   a client: one line, one answer; says how it ended

HOW: fresh (handed over untouched), used (after an answer of the acceptor), late (the acceptor's copy is closed
only when the handler is done), many (in the middle of other descriptors), refused (says what became of the attempt).
"""
import array
import ctypes
import errno
import os
import socket
import sys
import threading


def lines_of(sock):
    """Byte by byte, so that nothing is read ahead that belongs to somebody else."""
    line = b""
    while piece := sock.recv(1):
        line += piece
        if piece == b"\n":
            yield line
            line = b""


def echo(sock, who):
    with sock:
        for line in lines_of(sock):
            sock.sendall(who + b" " + line)
        sock.sendall(who + b" says goodbye\n")


def receive(chan, flags=0):
    """socket.recv_fds forgets its flags."""
    text, control, flags, _ = chan.recvmsg(100, socket.CMSG_LEN(8 * 4), flags)
    fds = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data)
    return text, list(fds), flags


def take(chan):
    """What one message of a hander-over brings; peeks first, as a careful program may."""
    for fd in receive(chan, socket.MSG_PEEK)[1]:
        os.close(fd)
    text, fds, flags = receive(chan)
    if text.startswith(b"many"):
        pipe, first, second, null = fds
        os.write(pipe, b"through the pipe")
        os.close(pipe)
        os.close(null)
        assert os.path.samestat(os.fstat(first), os.fstat(second))
        os.close(second)
        fds = [first]
    assert not flags & socket.MSG_CTRUNC
    return socket.socket(fileno=fds[0])


def handle_one(chan):
    with chan:
        echo(take(chan), b"handler")
        try:
            chan.sendall(b"done")
        except BrokenPipeError:
            pass  # the acceptor has other things to do, or is gone


def handle(path, address, port):
    def direct(listener):
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0], b"direct"), daemon=True).start()
    threading.Thread(target=direct, args=(socket.create_server((address, port)),), daemon=True).start()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen(8)
        while True:
            threading.Thread(target=handle_one, args=(unix.accept()[0],), daemon=True).start()


def hand_over(chan, sock, how):
    fds = [sock.fileno()]
    if how == "many":
        there, here = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        fds = [here, sock.fileno(), sock.fileno(), null]
    socket.send_fds(chan, [how.encode()], fds)
    if how == "many":
        os.close(here)
        os.close(null)
        assert os.read(there, 100) == b"through the pipe"
        os.close(there)


def accept_one(path, sock, how):
    if how == "used":
        sock.sendall(b"acceptor " + next(lines_of(sock)))
    with socket.socket(socket.AF_UNIX) as chan:
        chan.connect(path)
        try:
            hand_over(chan, sock, how)
        except OSError as e:
            sock.sendall(errno.errorcode[e.errno].encode() + b"\n")
            echo(sock, b"acceptor")
            return
        if how == "late":
            chan.recv(10)
        sock.close()
        if how != "late":
            chan.recv(10)


def accept(path, address, port, how):
    with socket.create_server((address, port)) as listener:
        while True:
            accept_one(path, listener.accept()[0], how)


def work(chan):
    """In turns with the parent: this process answers the even lines."""
    while True:
        text, fds, _, _ = socket.recv_fds(chan, 100, 4)
        if not fds:
            os._exit(0)
        with socket.socket(fileno=fds[0]) as sock:
            sock.sendall(b"worker %d " % int(text) + next(lines_of(sock)))
        chan.sendall(b"done")


def start_worker():
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        work(there)
    there.close()
    return here


def workers(address, port):
    crowd = []
    with socket.create_server((address, port)) as listener:
        crowd = [start_worker(), start_worker()]
        while True:
            sock = listener.accept()[0]
            for turn in range(6):
                if turn % 3 == 2:
                    sock.sendall(b"parent " + next(lines_of(sock)))
                    continue
                socket.send_fds(crowd[turn % 3], [b"%d" % (turn % 3)], [sock.fileno()])
                assert crowd[turn % 3].recv(10) == b"done"
            echo(sock, b"parent at last")


def confine(directory):
    """Root gives up files and user. Others only say so: their parent hides itself afterwards. Returns where the parent listens."""
    if os.getuid() != 0:
        os.setuid(os.getuid())
        return directory + "/socket"
    os.chroot(directory)
    os.chdir("/")
    os.setuid(65534)
    return "/socket"


def accept_jailed(directory, listener, ready):
    path = confine(directory)
    os.write(ready, b"x")
    os.close(ready)
    listener.listen(8)
    while True:
        accept_one(path, listener.accept()[0], "fresh")


def jailed(directory, address, port):
    there, ready = os.pipe()
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as listener:
        unix.bind(directory + "/socket")
        os.chmod(directory + "/socket", 0o777)
        unix.listen(8)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        if os.fork() == 0:
            accept_jailed(directory, listener, ready)
        assert os.read(there, 1) == b"x"
        ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE
        while True:
            handle_one(unix.accept()[0])


def ask(address, port, lines, marker):
    with socket.create_connection((address, port), timeout=30) as sock:
        answers = sock.makefile("rb")
        for number in range(lines):
            sock.sendall(b"%s %d\n" % (marker.encode(), number))
            print(answers.readline().decode(), end="", flush=True)
        sock.shutdown(socket.SHUT_WR)
        print(answers.read().decode() + "end")


what, *words = sys.argv[1:]
if what == "handle":
    handle(words[0], words[1], int(words[2]))
elif what == "accept":
    accept(words[0], words[1], int(words[2]), words[3])
elif what == "workers":
    workers(words[0], int(words[1]))
elif what == "jailed":
    jailed(words[0], words[1], int(words[2]))
else:
    ask(words[0], int(words[1]), int(words[2]), words[3])
