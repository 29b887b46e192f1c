"""Calls one server after another and prints how each took it: "HOST PORT served BY CALLED-FROM" or "HOST PORT refused".

    mesh_caller.py TEXT SOURCE HOST/PORT…      SOURCE: the address to come from; -: as it happens
"""
import socket
import sys

text, source = sys.argv[1:3]


def call(host, port):
    with socket.create_connection((host, port), 30, None if source == "-" else (source, 0)) as sock:
        sock.sendall(text.encode() + b"\n")
        words = sock.makefile("rb").readline().decode("latin-1").split()
    if len(words) != 5 or words[2] != text:
        raise ConnectionError
    return f"served {words[0]} {words[4]}"


for place in sys.argv[3:]:
    name, number = place.split("/")
    try:
        outcome = call(name, int(number))
    except OSError as error:
        outcome = "refused " + type(error).__name__
    print(name, number, outcome, flush=True)
