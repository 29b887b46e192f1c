"""A client that sends one line and prints the answer, or the error's name.

    mesh_client.py HOW HOST PORT TEXT [CA-FILE]
    ask       sends the line, reads the answer
    hear      reads a greeting by a blocking call first, then as ask
    watch     the same without blocking, waiting in epoll for the greeting
    tls       speaks TLS of its own, verified against CA-FILE; pieces: the same, its bytes sent one by one
    stub      sends the two bytes that TLS begins with, then the end of file
    stay      as ask, again with every line of standard input
    again     as ask, on a new connection for every line of standard input
    wait      as ask; connects to PORT + 1 as well, without a further call for it; waits for what becomes of the first
"""
import select
import socket
import ssl
import sys

how, host, port, text = sys.argv[1:5]


def ask(sock, lines):
    sock.sendall(text.encode() + b"\n")
    return lines.readline()


def watch(sock):
    sock.setblocking(False)
    with select.epoll() as poll:
        poll.register(sock, select.EPOLLIN)
        while True:
            if not poll.poll(30):
                raise TimeoutError
            try:
                got = sock.recv(4096)
                sock.setblocking(True)
                return got
            except BlockingIOError:
                pass


def pieces(sock, context):
    """The TLS object of Python over buffers of our own."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inward, outward, server_hostname=host)

    def move(call, *words):
        while True:
            try:
                result, again = call(*words), False
            except ssl.SSLWantReadError:
                result, again = None, True
            for byte in outward.read():
                sock.send(bytes([byte]))
            if not again:
                return result
            inward.write(sock.recv(65536))
    move(tls.do_handshake)
    move(tls.write, text.encode() + b"\n")
    return move(tls.read, 65536)


def talk(sock):
    if how in ("tls", "pieces"):
        context = ssl.create_default_context(cafile=sys.argv[5])
        if how == "pieces":
            return pieces(sock, context)
        sock = context.wrap_socket(sock, server_hostname=host)
    if how == "stub":
        sock.sendall(b"\x16\x03")
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(65536)
    if how == "watch":
        sys.stdout.write(watch(sock).decode())
    with sock.makefile("rb") as lines:
        if how == "hear":
            sys.stdout.write(lines.readline().decode())
        got = ask(sock, lines)
        if how == "wait":
            print(got.decode().strip(), flush=True)
            with socket.create_connection((host, int(port) + 1), 60):
                return sock.recv(65536)
        if how == "stay":
            for _ in sys.stdin:
                print(got.decode().strip(), flush=True)
                got = ask(sock, lines)
        return got


def once():
    try:
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.settimeout(None)
            answer = talk(connection)
        print(answer.decode("latin-1").strip() if answer else "end of file", flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)


once()
if how == "again":
    for _ in sys.stdin:
        once()
