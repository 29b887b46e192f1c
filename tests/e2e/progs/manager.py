"""multiprocessing over TCP: a manager with a shared dictionary and queue, worker processes that join it, connections
handed from one process to another, and pools started while connections are open.

    manager.py serve ADDRESS PORT
    manager.py use ADDRESS PORT MARKER
"""
import concurrent.futures
import multiprocessing
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Client, Listener
from multiprocessing.managers import BaseManager
from multiprocessing.reduction import recv_handle, send_handle
from queue import Queue

KEY = b"e2e"


class Manager(BaseManager):
    pass


def take_over(pipe):
    """In a process of its own: gets a connection's descriptor and answers on it."""
    with socket.socket(fileno=recv_handle(pipe)) as sock:
        sock.sendall(b"from another process: " + sock.recv(1000))


def hand_over(listener):
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=take_over, args=(there,))
    worker.start()
    sock, _ = listener.accept()
    send_handle(here, sock.fileno(), worker.pid)
    sock.close()
    worker.join()


def serve_arrays(listener):
    with listener, listener.accept() as connection:
        while True:
            try:
                connection.send([2 * x for x in connection.recv()])
            except EOFError:
                return


def serve(address, port):
    queue, table = Queue(), {}
    Manager.register("queue", callable=lambda: queue)
    Manager.register("table", callable=lambda: table)
    plain = socket.create_server((address, port + 2))
    threading.Thread(target=hand_over, args=(plain,), daemon=True).start()
    arrays = Listener((address, port + 1), authkey=KEY)
    threading.Thread(target=serve_arrays, args=(arrays,), daemon=True).start()
    Manager((address, port), KEY).get_server().serve_forever()


def join_manager(address, port):
    Manager.register("queue")
    Manager.register("table")
    manager = Manager((address, port), KEY)
    manager.connect()
    return manager


def worker(address, port, number):
    manager = join_manager(address, port)
    manager.queue().put((number, "x" * 100000))


def square(x):
    return x * x


def use(address, port, marker):
    manager = join_manager(address, port)
    manager.table().update({"text": marker})
    print(manager.table().get("text"))
    queue = manager.queue()
    crowd = [multiprocessing.get_context(how).Process(target=worker, args=(address, port, number))
             for number, how in enumerate(["fork", "spawn", "forkserver", "fork"])]
    for process in crowd:
        process.start()
    print(sorted(number for number, text in (queue.get() for _ in crowd) if len(text) == 100000))
    for process in crowd:
        process.join()
    with Client((address, port + 1), authkey=KEY) as connection:
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            print(sum(pool.map(square, range(100))))
        connection.send(list(range(100000)))
        print(subprocess.run(["echo", "child"], capture_output=True, text=True, check=True).stdout.strip())
        print(sum(connection.recv()))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print(set(pool.map(lambda _: join_manager(address, port).table().get("text"), range(30))))
    with socket.create_connection((address, port + 2), timeout=20) as sock:
        sock.sendall(marker.encode())
        print(sock.makefile().read())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        use(sys.argv[2], int(sys.argv[3]), sys.argv[4])
