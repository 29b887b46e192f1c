"""A plaintext server that has no patience with anything else: ADDRESS PORT ANSWER. Whose first bytes are no
request is reset. Ends after it has answered two requests."""
import socket
import struct
import sys

answered = 0
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    while answered < 2:
        sock = listener.accept()[0]
        sock.settimeout(20)
        if sock.recv(5) == b"GET /":
            request = b""
            while b"\r\n\r\n" not in request:  # however it is written
                request += sock.recv(4096)
            sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + sys.argv[3].encode() + b"\n")
            answered += 1
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
