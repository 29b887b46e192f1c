"""A server that listens, and then gives up files, user and standard error, as daemons do, before anybody connects:
jail_log.py ADDRESS PORT DIRECTORY. Sends each client's line back, until one says "enough"."""
import os
import socket
import sys

address, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
listener = socket.create_server((address, port))
os.chroot(directory)
os.chdir("/")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.close(2)
line = b""
while line != b"enough\n":
    connection, _ = listener.accept()
    with connection:
        line = connection.makefile("rb").readline()
        connection.sendall(line)
