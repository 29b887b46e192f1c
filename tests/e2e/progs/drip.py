"""A relay that hands on what it gets in small pieces with pauses, in segments of 1,000 bytes at most.

    drip.py ADDRESS PORT TARGET-PORT
"""
import random
import socket
import sys
import threading
import time

SEGMENT = 1000


def hand_on(source, sink):
    while data := source.recv(65536):
        at = 0
        while at < len(data):
            size = random.choice((1, 4, 6, 100, SEGMENT, len(data)))
            sink.sendall(data[at:at + size])
            at += size
            if random.random() < 0.3:
                time.sleep(0.0005)
    sink.shutdown(socket.SHUT_WR)


def small_segments():
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def main():
    listener = small_segments()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen(64)
    while True:
        near, _ = listener.accept()
        far = small_segments()
        far.connect((sys.argv[1], int(sys.argv[3])))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=hand_on, args=pair, daemon=True).start()


main()
