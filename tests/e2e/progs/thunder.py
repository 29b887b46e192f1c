"""thunder.py ADDRESS PORT COUNT    COUNT connections at once; prints how many were greeted, and the errors of the rest"""
import socket
import sys
import threading

where, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
outcomes = []


def one():
    try:
        with socket.create_connection(where, timeout=60) as sock:
            sock.sendall(b"R")
            outcomes.append(sock.recv(1))
    except OSError as problem:
        outcomes.append(repr(problem))


threads = [threading.Thread(target=one) for _ in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(outcomes.count(b"+"), *{outcome for outcome in outcomes if outcome != b"+"})
