"""A server that gives up files, user and standard error, as daemons do, before anybody connects:
jail_log.py ADDRESS PORT ROOT before|after. The last says whether it listens before or after that; ROOT may be "-".
Sends each client's line back, until one says "enough"."""
import os
import socket
import sys

address, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((address, port))
if sys.argv[4] == "before":
    listener.listen()
if directory != "-":
    os.chroot(directory)
    os.chdir("/")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.close(2)
if sys.argv[4] == "after":
    listener.listen()
line = b""
while line != b"enough\n":
    connection, _ = listener.accept()
    with connection:
        line = connection.makefile("rb").readline()
        connection.sendall(line)
