"""Echo servers in each style that Python offers; all answer "LENGTH\\n" + bytes with the same bytes.

    py_server.py STYLE ADDRESS PORT     STYLE: threads, selectors, asyncio, blocking, forking;
    once: threads that close the connection after one answer
"""
import asyncio
import selectors
import socket
import socketserver
import sys


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in iter(self.rfile.readline, b""):
            self.wfile.write(self.rfile.read(int(line)))


class Once(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read(int(self.rfile.readline())))


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


class Forking(socketserver.ForkingTCPServer):
    allow_reuse_address = True


class Blocking(socketserver.TCPServer):
    allow_reuse_address = True


class Peer:
    """One connection of the selectors server: echoes what came, reads only while little is unsent."""

    def __init__(self, sock):
        self.sock, self.need, self.line, self.out = sock, None, b"", bytearray()

    def feed(self, data):
        while data:
            if self.need is None:
                head, newline, data = data.partition(b"\n")
                self.line += head
                if newline:
                    self.need, self.line = int(self.line), b""
            else:
                self.out += data[:self.need]
                taken = min(self.need, len(data))
                self.need, data = self.need - taken, data[taken:]
                self.need = self.need or None

    def ready(self, mask):
        if mask & selectors.EVENT_READ:
            data = self.sock.recv(65536)
            if not data:
                return False
            self.feed(data)
        if self.out:
            try:
                del self.out[:self.sock.send(self.out)]
            except BlockingIOError:
                pass
        return True

    def wants(self):
        return (selectors.EVENT_READ if len(self.out) < 1 << 20 else 0) | (selectors.EVENT_WRITE if self.out else 0)


def select_server(address):
    chooser = selectors.DefaultSelector()
    listener = socket.create_server(address, backlog=128)
    listener.setblocking(False)
    chooser.register(listener, selectors.EVENT_READ)
    while True:
        for key, mask in chooser.select():
            if key.data is None:
                sock, _ = listener.accept()
                sock.setblocking(False)
                chooser.register(sock, selectors.EVENT_READ, Peer(sock))
            elif key.data.ready(mask):
                chooser.modify(key.fileobj, key.data.wants(), key.data)
            else:
                chooser.unregister(key.fileobj)
                key.fileobj.close()


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(await reader.readexactly(int(line)))
        await writer.drain()
    writer.close()


async def async_server(address):
    server = await asyncio.start_server(echo, *address, backlog=128)
    await server.serve_forever()


def main():
    style, address = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
    if style == "asyncio":
        asyncio.run(async_server(address))
    elif style == "selectors":
        select_server(address)
    else:
        server = {"threads": Threads, "once": Threads, "forking": Forking, "blocking": Blocking}[style]
        server(address, Once if style == "once" else Echo).serve_forever()


main()
