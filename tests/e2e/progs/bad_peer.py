"""A TLS peer that misbehaves in one chosen way; Python's own ssl module, so nothing of ours is in it.

    bad_peer.py client|server ADDRESS PORT CASE CERTIFICATES

CERTIFICATES is a directory with key.pem, cert-chain.pem and root-cert.pem. It never checks its peer. What the
peer does after the misdeed is awaited for 10 s at most: it has to end the connection.
"""
import socket
import ssl
import struct
import sys

ROLE, ADDRESS, PORT, CASE, CERTIFICATES = sys.argv[1:3] + [int(sys.argv[3])] + sys.argv[4:6]


def context():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if ROLE == "server" else ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if ROLE == "server":
        tls.load_verify_locations(CERTIFICATES + "/root-cert.pem")
        tls.verify_mode = ssl.CERT_OPTIONAL
    if CASE != "nocert":
        tls.load_cert_chain(CERTIFICATES + "/cert-chain.pem", CERTIFICATES + "/key.pem")
    if CASE == "tls11":
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    if CASE.endswith("12"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
    if CASE == "cbc12":
        tls.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    return tls


class Peer:
    def __init__(self, sock):
        self.sock, self.came, self.out = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.came, self.out, server_side=ROLE == "server")

    def flush(self):
        self.sock.sendall(self.out.read())

    def until_done(self, step):
        """Runs a step of ssl, feeding it what comes. False when the peer went away or ssl refused."""
        while True:
            try:
                step()
                self.flush()
                return True
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    return False
                self.came.write(data)
            except (ssl.SSLError, ConnectionError) as problem:
                print("ended by", type(problem).__name__, flush=True)
                return False

    def record(self, payload):
        self.tls.write(payload)
        return bytearray(self.out.read())


def wait_for_end(sock):
    try:
        while sock.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass


def before_handshake(peer):
    """Misdeeds in place of a handshake; True when this was one."""
    sock = peer.sock
    if CASE in ("garbage", "plain"):
        if ROLE == "server":
            sock.recv(65536)
        sock.sendall(b"HTTP/1.0 200 this is no handshake at all\r\n\r\n" * 3)
    elif CASE == "half":
        try:
            peer.tls.do_handshake()
        except ssl.SSLWantReadError:
            hello = peer.out.read()
            sock.sendall(hello[:len(hello) // 2])
    elif CASE == "reset":
        sock.recv(5) if ROLE == "server" else sock.sendall(b"\x16\x03\x01")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True
    elif CASE == "hugehello":
        sock.sendall(b"\x16\x03\x01\xff\xff" + bytes(65535))
    elif CASE == "leave":
        sock.shutdown(socket.SHUT_WR)
    elif CASE != "stall":
        return False
    wait_for_end(sock)
    return True


def after_handshake(peer):
    hello = b"hello from the peer\n"
    if CASE.startswith("flip"):
        record = peer.record(hello)
        record[-1] ^= 1
    elif CASE.startswith("oversized"):
        record = b"\x17\x03\x03" + struct.pack(">H", 16384 + 2049) + bytes(16384 + 2049)
    elif CASE == "inject":
        record = peer.record(hello) + b"\x17\x03\x03\x00\x20" + b"A" * 32
    elif CASE == "unencrypted":
        record = peer.record(hello) + b"plain words after the handshake"
    elif CASE == "replay":
        record = peer.record(hello)
        record = record * 2
    else:
        record = peer.record(hello)
    peer.sock.sendall(record)
    if CASE.startswith("truncate"):
        peer.sock.shutdown(socket.SHUT_WR)
    elif CASE in ("honest", "honest12"):
        peer.until_done(lambda: peer.tls.read(1))  # the other side writes something
        try:
            peer.tls.unwrap()
        except ssl.SSLError:
            pass
        peer.flush()
        peer.sock.shutdown(socket.SHUT_WR)
    wait_for_end(peer.sock)


def main():
    if ROLE == "server":
        listener = socket.create_server((ADDRESS, PORT))
        sock, _ = listener.accept()
        if CASE != "plain":
            listener.close()  # whoever connects again is refused
    else:
        sock = socket.create_connection((ADDRESS, PORT))
    sock.settimeout(10)
    peer = Peer(sock)
    try:
        if not before_handshake(peer) and peer.until_done(peer.tls.do_handshake):
            after_handshake(peer)
    except OSError as problem:  # also a shutdown of what is gone says ENOTCONN
        if isinstance(problem, TimeoutError):
            raise
        print("ended by", type(problem).__name__, flush=True)
    sock.close()
    if CASE == "plain":  # garbage, and then it serves who comes again in plaintext
        sock, _ = listener.accept()
        sock.settimeout(10)
        sock.sendall(sock.recv(4))
        sock.close()
    print("the peer ended the connection", flush=True)


main()
