"""Echo clients in each style that Python offers; exit status 0 when every byte came back.

    py_client.py STYLE ADDRESS PORT MARKER SIZE      STYLE: blocking, threads, asyncio;
    raw: towards a server that sends back what it gets, without lengths; lines: the same with lines of text only
"""
import asyncio
import os
import socket
import sys
import threading

ADDRESS, PORT, MARKER, SIZE = sys.argv[2], int(sys.argv[3]), sys.argv[4].encode(), int(sys.argv[5])


def messages():
    yield MARKER
    yield b"x"
    for size in (100, 16384, 16385, SIZE):
        yield os.urandom(size)


def blocking():
    with socket.create_connection((ADDRESS, PORT), timeout=30) as sock, sock.makefile("rb") as replies:
        for message in messages():
            # A writer beside the reader: neither side may wait for the other for ever.
            writer = threading.Thread(target=sock.sendall, args=(b"%d\n" % len(message) + message,))
            writer.start()
            assert replies.read(len(message)) == message
            writer.join()


def raw():
    with socket.create_connection((ADDRESS, PORT), timeout=30) as sock, sock.makefile("rb") as replies:
        message = MARKER + os.urandom(SIZE)
        for start in range(0, len(message), 4096):
            part = message[start:start + 4096]
            sock.sendall(part)
            assert replies.read(len(part)) == part


def lines():
    with socket.create_connection((ADDRESS, PORT), timeout=30) as sock, sock.makefile("rb") as replies:
        for line in [MARKER] + [os.urandom(250).hex().encode() for _ in range(SIZE // 500)]:
            sock.sendall(line + b"\n")
            assert replies.readline() == line + b"\n"


def threads():
    failed = []

    def one():
        try:
            blocking()
        except BaseException as problem:
            failed.append(problem)
            raise
    crowd = [threading.Thread(target=one) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert not failed, failed


async def one_async():
    reader, writer = await asyncio.open_connection(ADDRESS, PORT)
    for message in messages():
        writer.write(b"%d\n" % len(message) + message)
        answer = asyncio.create_task(reader.readexactly(len(message)))
        await writer.drain()
        assert await answer == message
    writer.close()
    await writer.wait_closed()


async def many_async():
    await asyncio.gather(*(one_async() for _ in range(8)))


if sys.argv[1] == "asyncio":
    asyncio.run(many_async())
else:
    {"blocking": blocking, "threads": threads, "raw": raw, "lines": lines}[sys.argv[1]]()
