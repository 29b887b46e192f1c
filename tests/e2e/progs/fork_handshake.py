"""A connection whose first holder lets go of it in the middle of the handshake that it had begun; a relative uses it.

    fork_handshake.py serve ADDRESS PORT GATE   accepts when the file GATE is there, echoes to the end
    fork_handshake.py use ADDRESS PORT GATE MARKER
"""
import errno
import os
import socket
import sys
import time


def serve(address, port, gate):
    with socket.create_server((address, port)) as listener:
        while not os.path.exists(gate):
            time.sleep(0.01)
        sock, _ = listener.accept()
        os.rename(gate, gate + ".open")
        try:
            while piece := sock.recv(1000):
                sock.sendall(piece)
            print("end")
        except OSError as e:
            print(errno.errorcode[e.errno])


def use(address, port, gate, marker):
    sock = socket.create_connection((address, port), timeout=None)
    child = os.fork()
    if child == 0:
        while not os.path.exists(gate + ".open"):
            time.sleep(0.01)
        time.sleep(0.3)  # all that the parent does has happened, or not: the outcome is the same
        for number in range(3):
            sock.sendall(f"{marker} {number}".encode())
            print(sock.recv(1000).decode(), flush=True)
        sock.close()
        os._exit(0)
    sock.close()
    with open(gate, "w", encoding="utf-8"):
        pass
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


what, address, port, *words = sys.argv[1:]
{"serve": serve, "use": use}[what](address, int(port), *words)
