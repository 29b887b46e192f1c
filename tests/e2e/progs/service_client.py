"""Talks to stdio_service.c: its greeting first, messages, then the end of file and the goodbye.

    service_client.py ADDRESS PORT MARKER
"""
import os
import socket
import sys
import threading

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as sock, sock.makefile("rb") as lines:
    assert lines.readline() == b"hello, how many bytes?\n"
    messages = [sys.argv[3].encode(), b"x", os.urandom(100000), os.urandom(10000000)]
    for message in messages:
        writer = threading.Thread(target=sock.sendall, args=(b"%d\n" % len(message) + message,))
        writer.start()
        assert lines.read(len(message)) == message
        writer.join()
    sock.shutdown(socket.SHUT_WR)
    assert lines.readline() == b"goodbye after %d\n" % len(messages)
    assert lines.read() == b""
print("all came back")
