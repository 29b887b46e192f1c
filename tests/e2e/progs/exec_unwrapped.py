"""Tries to start a program that cannot be preloaded, with a protected connection in every place.

    exec_unwrapped.py ADDRESS PORT PROGRAM
"""
import errno
import os
import socket
import subprocess
import sys

address, port, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sock = socket.create_connection((address, port), timeout=30)
sock.setblocking(True)
answers = sock.makefile("rb")


def ask(text):
    sock.sendall(text + b"\n")
    return answers.readline().decode().strip()


def attempt(what, how):
    try:
        print(what, how(), flush=True)
    except OSError as e:
        print(what, errno.errorcode[e.errno], flush=True)
    print(ask(b"after " + what.encode()), flush=True)


def spawn(actions):
    pid = os.posix_spawn(program, ["x", str(sock.fileno())], os.environ, file_actions=actions)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def replace(where):
    """An exec in a forked child, which says by its status what became of it."""
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            os.dup2(sock.fileno(), where)
            os.execv(program, ["x", str(where)])
        except OSError as e:
            os._exit(e.errno)
    return os.waitstatus_to_exitcode(os.wait()[1])


fd = str(sock.fileno())
attempt("apart", lambda: subprocess.run([program, fd], capture_output=True, text=True).stdout.strip())
attempt("output", lambda: subprocess.run([program, fd], stdout=sock.fileno()).returncode)
attempt("input", lambda: subprocess.run([program, fd], stdin=sock.fileno(), capture_output=True).returncode)
attempt("spawned", lambda: spawn([]))
attempt("spawned output", lambda: spawn([(os.POSIX_SPAWN_DUP2, sock.fileno(), 1)]))
sock.set_inheritable(True)
attempt("leaked", lambda: subprocess.run([program, fd], close_fds=False, capture_output=True, text=True).stdout.strip())
attempt("leaked to a spawned one", lambda: spawn([]))
attempt("exec output", lambda: replace(1))
attempt("exec leaked", lambda: replace(9))
print(os.get_inheritable(sock.fileno()))
