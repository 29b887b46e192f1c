"""Connections that are cut at every point.

    cut.py serve ADDRESS PORT                 answers a request of REQUEST bytes with REPLY bytes, for ever
    cut.py proxy ADDRESS PORT TO              forwards; each connection is cut as its place in PLAN says
    cut.py ask ADDRESS PORT                   walks through the plan, says what each connection came to
    cut.py plan                               prints how many there are

A cut comes after a number of bytes in one direction: reset, fin (both sides closed), half (only the receiving side
hears of it), silence (for a while). Knows nothing of TLS, and no wrapped end may tell a cut from a whole stream wrongly.
"""
import errno
import os
import select
import socket
import struct
import sys
import threading
import time

REQUEST, REPLY = b"q" * 3000, b"r" * 40000
POINTS = list(range(0, 2600, 61)) + [1, 4, 5, 6, 3100, 4000, 8000, 17000, 30000, 42000]
PLAN = [(point, direction, how) for point in POINTS for direction in (0, 1) for how in ("reset", "fin", "half")]
PLAN += [(point, direction, "silence") for point in POINTS[::4] for direction in (0, 1)]
# Again and again around the end of the server's handshake: the reset meets the client's first bytes.
PLAN += [(point, 1, "reset") for point in range(846, 862)] * 12
PATIENCE = 3


def attend(sock):
    got = b""
    try:
        while len(got) < len(REQUEST):
            piece = sock.recv(65536)
            if not piece:
                if got:
                    print("a cut request ended well:", len(got), flush=True)
                return
            got += piece
        if got != REQUEST:
            print("another request", flush=True)
        sock.sendall(REPLY)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
    except OSError:
        pass
    finally:
        sock.close()


def serve(address, port):
    with socket.create_server((address, port), backlog=128) as listener:
        while True:
            sock = listener.accept()[0]
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
            threading.Thread(target=attend, args=(sock,), daemon=True).start()


def close(sock, reset):
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def forward(ends, plan):
    point, direction, how = plan
    left, live = point, [0, 1]  # the ends that are still read
    while live:
        if left == 0:
            if how in ("reset", "fin"):
                break
            if how == "silence":
                time.sleep(PATIENCE + 2)
                break
            left = -1
            live.remove(direction)
            ends[1 - direction].shutdown(socket.SHUT_WR)
            continue
        for sock in select.select([ends[i] for i in live], [], [], 10)[0] or [None]:
            if sock is None:
                live = []
                break
            i = ends.index(sock)
            piece = sock.recv(left if i == direction and 0 < left < 4096 else 4096)
            if i == direction and left > 0:
                left -= len(piece)
            if piece:
                ends[1 - i].sendall(piece)
            elif i in live:
                live.remove(i)
                ends[1 - i].shutdown(socket.SHUT_WR)
            break
    for sock in ends:
        close(sock, how == "reset")


def cut_one(front, where):
    number = front.getpeername()[1]
    back = socket.create_connection(where)
    try:
        forward([front, back], PLAN[number - FIRST])
    except OSError:
        for sock in (front, back):
            sock.close()


FIRST = 20000  # the client's port says which connection of the plan it is


def proxy(address, port, to):
    with socket.create_server((address, port), backlog=128) as listener:
        while True:
            front = listener.accept()[0]
            threading.Thread(target=cut_one, args=(front, (address, to)), daemon=True).start()


def converse(sock, got):
    sock.sendall(REQUEST)
    while True:
        piece = sock.recv(65536)
        if not piece:
            return "end"
        got += piece


def ask_one(where, number, results):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", FIRST + number))
    got, began = bytearray(), time.monotonic()
    try:
        if number % 2:
            sock.settimeout(PATIENCE)
        sock.connect(where)
        limit = struct.pack("ll", PATIENCE, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        outcome = converse(sock, got)
    except TimeoutError:
        outcome = "timeout"
    except OSError as problem:
        outcome = errno.errorcode[problem.errno]
    sock.close()
    whole = bytes(got) == REPLY
    if bytes(got) != REPLY[:len(got)] or (outcome == "end" and not whole) or time.monotonic() - began > 20:
        results.append(f"{PLAN[number]}: {outcome} after {len(got)} bytes, {time.monotonic() - began:.1f} s")


def resident():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def ask(address, port):
    before = descriptors()
    results, at, lock = [], iter(range(len(PLAN))), threading.Lock()

    def work():
        while True:
            with lock:
                number = next(at, None)
            if number is None:
                return
            ask_one((address, port), number, results)
    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 20  # what was closed with bytes left is delivered, or given up
    while time.monotonic() < until and descriptors() > before + 4:  # the interposer keeps four
        time.sleep(0.1)
    results.append(f"descriptors {descriptors() - before} more")
    print("\n".join(results))


if sys.argv[1] == "plan":
    print(len(PLAN))
elif sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
elif sys.argv[1] == "proxy":
    proxy(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    ask(sys.argv[2], int(sys.argv[3]))
