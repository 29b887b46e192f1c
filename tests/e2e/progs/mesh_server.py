"""A server that says who called: answers a line with "NAME heard LINE from ADDRESS", or with "NAME saw TYPE of error".

    mesh_server.py NAME ADDRESS PORT… [--greet] [--tls DIRECTORY] [--keep]
    --greet: says "NAME greets" before anything else; --tls: speaks TLS of its own with DIRECTORY's key.pem and
    cert-chain.pem; --keep: answers every line until the end, not only the first
"""
import argparse
import socket
import ssl
import sys
import threading

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("address")
parser.add_argument("ports", nargs="+", type=int)
parser.add_argument("--greet", action="store_true")
parser.add_argument("--tls")
parser.add_argument("--keep", action="store_true")
options = parser.parse_args()
context = None
if options.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls + "/cert-chain.pem", options.tls + "/key.pem")


def answer(sock, peer):
    if context:
        sock = context.wrap_socket(sock, server_side=True)
    if options.greet:
        sock.sendall(f"{options.name} greets\n".encode())
    with sock, sock.makefile("rb") as lines:
        for line in lines:
            text = line.decode("latin-1").rstrip("\n")
            print("heard", repr(text), flush=True)
            sock.sendall(f"{options.name} heard {text} from {peer[0]}\n".encode("latin-1"))
            if not options.keep:
                return


def serve(sock, peer):
    try:
        answer(sock, peer)
    except OSError as error:
        print(type(error).__name__, flush=True)


def accept(listener):
    while True:
        threading.Thread(target=serve, args=listener.accept(), daemon=True).start()


for port in options.ports:
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((options.address, port))
    server.listen(64)
    threading.Thread(target=accept, args=(server,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
sys.exit(0)
