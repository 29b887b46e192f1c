"""Talks to a line service: sends LINES lines and says what came back, to the end.

    exec_client.py ADDRESS PORT LINES MARKER
"""
import socket
import sys

address, port, lines, marker = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with socket.create_connection((address, port), timeout=30) as sock:
    for number in range(lines):
        sock.sendall(f"{marker} {number}\n".encode())
    sock.shutdown(socket.SHUT_WR)
    print(sock.makefile().read(), end="")
print("end")
