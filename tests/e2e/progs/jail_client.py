"""The other end of jail.c: waits to be greeted, speaks, and hears its words again on a connection made to it."""
import socket
import sys

address, port, back, words = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
socket.setdefaulttimeout(20)
listener = socket.create_server(("127.0.0.1", back))


def line(connection):
    """Up to the end of the line or of the stream."""
    return connection.makefile("rb").readline()


with socket.create_connection((address, port)) as out:
    greeting = line(out)
    if greeting != b"who is there?\n":
        sys.exit(f"greeted with {greeting!r}")
    incoming, _ = listener.accept()
    out.sendall(words + b"\n")
    heard = line(incoming)
    if heard != words + b"\n":
        sys.exit(f"heard {heard!r}")
