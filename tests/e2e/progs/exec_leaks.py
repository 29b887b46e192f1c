"""Programs started while connections are open: what they inherit works as it does in the clear, and so does what
they do not inherit.

    exec_leaks.py serve ADDRESS PORT COUNT    echoes lines; says of every connection how many lines came and how it ended
    exec_leaks.py use ADDRESS PORT MARKER
"""
import ctypes
import errno
import os
import socket
import subprocess
import sys
import threading


def attend(sock, verdicts):
    lines = 0
    try:
        for line in sock.makefile("rb"):
            lines += 1
            if not line.startswith(b"quiet"):
                sock.sendall(line)
        verdicts.append(f"{lines} lines, end")
    except OSError as e:
        verdicts.append(f"{lines} lines, {errno.errorcode[e.errno]}")
    sock.close()


def serve(address, port, count):
    verdicts, crowd = [], []
    with socket.create_server((address, port), backlog=64) as listener:
        for _ in range(count):
            crowd.append(threading.Thread(target=attend, args=(listener.accept()[0], verdicts)))
            crowd[-1].start()
    for thread in crowd:
        thread.join()
    print("\n".join(sorted(verdicts)))


class Peer:
    def __init__(self, where, inherit):
        self.sock = socket.create_connection(where, timeout=30)
        self.sock.setblocking(True)
        self.sock.set_inheritable(inherit)
        self.fd = self.sock.fileno()

    def ask(self, text):
        self.sock.sendall(text.encode() + b"\n")
        return self.answer()

    def answer(self):
        line = b""
        while not line.endswith(b"\n"):
            piece = self.sock.recv(1)
            if not piece:
                return line.decode() + "END"
            line += piece
        return line.decode().strip()


def popen(command):
    """libc's, for Python's own is made of subprocess."""
    libc = ctypes.CDLL(None)
    libc.popen.restype, libc.popen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
    libc.fgets.restype, libc.fgets.argtypes = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    libc.pclose.argtypes = [ctypes.c_void_p]
    pipe, line, text = libc.popen(command.encode(), b"r"), ctypes.create_string_buffer(1000), ""
    while libc.fgets(line, 1000, pipe):
        text += line.value.decode()
    return text + f"{libc.pclose(pipe)}\n"


def by_shell(peer, marker):
    return f"echo {marker} child >&{peer.fd}; read reply <&{peer.fd}; echo \"$reply\" came"


def inherited(where, marker):
    peer = Peer(where, True)
    command = by_shell(peer, marker)
    print(peer.ask("before"))
    for _ in range(2):
        print(subprocess.run(["/bin/sh", "-c", command], close_fds=False, capture_output=True, text=True).stdout, end="")
        print(peer.ask("between"))
    sys.stdout.flush()
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ), 0)
    print(peer.ask("between"), flush=True)
    print(os.waitstatus_to_exitcode(os.system(command)))
    print(peer.ask("between"))
    print(popen(command), end="")
    print(peer.ask("last"))
    child = subprocess.Popen(["/bin/sh", "-c", f"exec 0<&{peer.fd}; head -n 1; echo out >&{peer.fd}"], close_fds=False,
                             stdout=subprocess.PIPE, text=True)
    peer.sock.sendall(b"for the child\n")
    print(child.communicate()[0], end="")
    print(peer.answer())
    return peer


def outlives(where):
    """The parent closes its copy; the child has the last word."""
    peer = Peer(where, True)
    print(peer.ask("early"))
    child = subprocess.Popen(["/bin/sh", "-c", f"read go; echo late >&{peer.fd}; read reply <&{peer.fd}; echo $reply"],
                             close_fds=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    peer.sock.close()
    print(child.communicate("go\n")[0], end="")


def kept_apart(where):
    """Close-on-exec, as Python has it by default."""
    peer = Peer(where, False)
    print(peer.ask("one"))
    probe = ["/bin/sh", "-c", f"test -e /proc/self/fd/{peer.fd} && echo there || echo away"]
    print(subprocess.run(probe, capture_output=True, text=True).stdout, end="")
    print(subprocess.run(probe, close_fds=False, capture_output=True, text=True).stdout, end="")
    print(subprocess.run(probe, pass_fds=[peer.fd], capture_output=True, text=True).stdout, end="")
    print(subprocess.run(["/bin/sh", "-c", by_shell(peer, "passed")], pass_fds=[peer.fd], capture_output=True,
                         text=True).stdout, end="")
    print(subprocess.run(["/bin/cat"], stdin=subprocess.DEVNULL, stdout=peer.fd).returncode)
    print(subprocess.run(["/bin/echo", "standard output"], stdout=peer.fd).returncode)
    print(peer.answer())
    print(peer.ask("two"))


def failing(where):
    """An exec that fails changes nothing."""
    peers = [Peer(where, inherit) for inherit in (False, True)]
    for file in ("/nonexistent", "/etc/passwd", "/", "/etc/passwd/x"):
        for how in (os.execv, lambda file, argv: os.execve(file, argv, {})):
            try:
                how(file, ["x"])
            except OSError as e:
                print(errno.errorcode[e.errno])
            for peer in peers:
                print(peer.ask("still here"))


def replaced(where):
    """A child that becomes another program ends what only it has, and hands on the rest."""
    sys.stdout.flush()
    if os.fork() == 0:
        gone, kept = Peer(where, False), Peer(where, True)
        gone.sock.sendall(b"quiet\n" * 1000)
        os.execv("/bin/sh", ["sh", "-c", by_shell(kept, "kept") + f"; exec 1>&{kept.fd}; exec echo quiet more"])
    print(os.waitstatus_to_exitcode(os.wait()[1]))


def use(address, port, marker):
    where = (address, port)
    peer = inherited(where, marker)
    outlives(where)
    kept_apart(where)
    failing(where)
    replaced(where)
    print(peer.ask("at the end"))


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    use(sys.argv[2], int(sys.argv[3]), sys.argv[4])
