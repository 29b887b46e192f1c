"""Where sockets end up: what the program of tests/e2e/mesh_places.sh looks at from inside.

    mesh_places.py listen FAMILY ADDRESS PORT [only]     prints where it listens (only: IPV6_V6ONLY; none: not)
    mesh_places.py call FAMILY HOST PORT [SOURCE]        prints what the connection says of its own end, or the error
"""
import socket
import sys

what, family, host, port, *rest = sys.argv[1:]
sock = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET)
try:
    if what == "listen":
        if family == "6":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, "only" in rest)
        sock.bind((host, int(port)))
        sock.listen()
    else:
        if rest:
            sock.bind((rest[0], 0))
        sock.connect((host, int(port)))
    print(sock.getsockname()[0])
except OSError as error:
    print(type(error).__name__)
