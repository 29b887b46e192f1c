"""The ways a client reaches a server: plaintext, the program's own TLS, a pair of stunnels or of haproxies, and
mtlswrap. Starts and ends processes and writes their settings; measures nothing but CPU and memory."""
import os
import signal
import socket
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))
HOME = os.path.join(BUILD, "bench")
LOAD = os.path.join(HOME, "load")
WORK = os.path.join(HOME, "work")
CERTS = os.path.join(WORK, "certs")
SERVER_PEM = os.path.join(CERTS, "app", "server")
CLIENT_PEM = os.path.join(CERTS, "app", "client")
SUITE = "TLS_AES_128_GCM_SHA256"
ALL = ("plain", "own", "stunnel", "haproxy", "mtlswrap")
PLAIN_IP, MESH_IP, SPREAD_IP = "127.77.0.1", "127.77.0.2", "127.78.0.1"
TICK = os.sysconf("SC_CLK_TCK")

MESH = f"""[Mesh]
trustDomain = cluster.local
certificates = {CERTS}

[MeshPolicy default]
mtls.mode = STRICT

[Service app/server]
address = {MESH_IP}
serviceAccount = server

[DestinationRule app/all]
host = *.local
tls.mode = ISTIO_MUTUAL

[DestinationRule app/spread]
host = 127.78.0.0/16
tls.mode = ISTIO_MUTUAL
tls.subjectAltNames = spiffe://cluster.local/ns/app/sa/server
"""


def write(name, text):
    path = os.path.join(WORK, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=30)


def certificates():
    """A CA and two leaves, P-256, with SPIFFE names; the same ones for every way."""
    ca, key = os.path.join(WORK, "ca.pem"), os.path.join(WORK, "ca-key.pem")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    os.makedirs(WORK, exist_ok=True)
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/O=bench", "-keyout", key, "-out", ca,
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for account in ("server", "client"):
        folder = os.path.join(CERTS, "app", account)
        names = f"URI:spiffe://cluster.local/ns/app/sa/{account}"
        leaf = write(account + ".cnf", "basicConstraints=critical,CA:FALSE\n"
                     "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
                     f"subjectAltName=critical,{names}\n")
        os.makedirs(folder, exist_ok=True)
        request, chain = os.path.join(WORK, account + ".csr"), os.path.join(folder, "cert-chain.pem")
        openssl("req", *curve, "-subj", "/", "-keyout", os.path.join(folder, "key.pem"),
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial",
                "-days", "2", "-extfile", leaf, "-out", chain)
        with open(ca, encoding="ascii") as root:
            write(os.path.join(folder, "root-cert.pem"), root.read())
        for one in (chain, os.path.join(folder, "key.pem")):  # haproxy wants both in one file
            with open(one, encoding="ascii") as part, open(
                    os.path.join(folder, "both.pem"), "a", encoding="ascii") as both:
                both.write(part.read())
        for file in os.listdir(folder):
            os.chmod(os.path.join(folder, file), 0o644)
    os.chmod(WORK, 0o755)
    write("mesh.ini", MESH)


def wrapped(workload):
    return {"LD_PRELOAD": os.path.join(BUILD, "libmtlswrap.so"), "MTLSWRAP_LOG": "error",
            "MTLSWRAP_CONFIG": os.path.join(WORK, "mesh.ini"), "MTLSWRAP_WORKLOAD": workload}


def free_port():
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        return s.getsockname()[1]


def listening(port):
    wanted = f":{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


def pinned(cpus, argv):
    return ["taskset", "-c", cpus, *argv] if cpus else list(argv)


class Process:
    """A server or proxy that runs until it is stopped."""

    def __init__(self, argv, port, cpus=None, env=None):
        self.log = open(os.path.join(WORK, "log"), "ab")
        self.child = subprocess.Popen(pinned(cpus, argv), env={**os.environ, **(env or {})},
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                      start_new_session=True)
        deadline = time.monotonic() + 15
        while not listening(port):
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{' '.join(argv)} does not listen; see {WORK}/log")
            time.sleep(0.02)

    def cpu(self):
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii", errors="replace") as stat:
            words = stat.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICK

    def memory(self):
        return memory(self.child.pid)

    def maps(self, name):
        with open(f"/proc/{self.child.pid}/maps", encoding="utf-8") as maps:
            return name in maps.read()

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(3)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()


def memory(pid):
    """Bytes that exist because of this process: shared pages count in part."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))


def stunnel(name, listen, connect, pem, client, resume):
    return ["stunnel", write(name, f"""foreground = yes
pid =
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[bench]
client = {"yes" if client else "no"}
accept = {listen}
connect = {connect}
cert = {pem}/cert-chain.pem
key = {pem}/key.pem
CAfile = {pem}/root-cert.pem
verifyChain = yes
sslVersion = TLSv1.3
ciphersuites = {SUITE}
curves = X25519
sessionResume = {"yes" if resume else "no"}
""")]


def haproxy(name, listen, connect, pem, client, resume):
    tls = f"ssl crt {pem}/both.pem ca-file {pem}/root-cert.pem verify required"
    front = "" if client else f" {tls} curves X25519"
    back = f" {tls}" + ("" if resume else " no-ssl-reuse") if client else ""
    return ["haproxy", "-f", write(name, f"""global
    maxconn 6000
    nbthread 1
    ssl-default-bind-ciphersuites {SUITE}
    ssl-default-server-ciphersuites {SUITE}
    ssl-default-bind-options ssl-min-ver TLSv1.3
    tune.ssl.default-dh-param 2048
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
frontend in
    bind {listen}{front}
    default_backend out
backend out
    server one {connect}{back}
""")]


class Way:
    """One way set up: its processes, and how a client gets in."""

    def __init__(self, name, serve, cpus=(None, None), resume=True, spread=False):
        """serve(address, port, folder of PEM files or None) gives the server's command line."""
        self.name, self.cpus, self.processes = name, cpus, []
        self.env = wrapped("app/client") if name == "mtlswrap" else {}
        self.tls = CLIENT_PEM if name == "own" else None
        spread = spread and name in ("plain", "own", "mtlswrap")
        self.host = SPREAD_IP if spread else MESH_IP if name == "mtlswrap" else PLAIN_IP
        self.port = free_port()
        at = "0.0.0.0" if spread else self.host
        self.spread = spread
        env = wrapped("app/" + ("spread" if spread else "server")) if name == "mtlswrap" else {}
        if env and spread:  # a workload without an address of its own may listen on all of them
            env["MTLSWRAP_CONFIG"] = self.spread_table()
        self.processes.append(Process(serve(at, self.port, SERVER_PEM if name == "own" else None),
                                      self.port, cpus[0], env))
        if env and not self.processes[0].maps("libmtlswrap-engine.so"):
            self.stop()  # the loader only warns
            raise RuntimeError("the server is not wrapped")
        if name in ("stunnel", "haproxy"):
            self.proxies(stunnel if name == "stunnel" else haproxy, resume)

    @staticmethod
    def spread_table():
        identity = os.path.join(CERTS, "app", "spread")
        if not os.path.exists(identity):
            os.symlink("server", identity)
        return write("spread.ini", MESH.split("[Service")[0])

    def proxies(self, make, resume):
        for side, pem in ((0, SERVER_PEM), (1, CLIENT_PEM)):
            port = free_port()
            command = make(f"{self.name}{side}", f"{PLAIN_IP}:{port}", f"{PLAIN_IP}:{self.port}", pem,
                           side == 1, resume)
            self.processes.append(Process(command, port, self.cpus[side]))
            self.port = port

    def cpu(self):
        return sum(p.cpu() for p in self.processes)

    def memory(self):
        return sum(p.memory() for p in self.processes)

    def load(self, role, *words):
        """The command line of the load program as this way's client."""
        own = ["-t", self.tls] if self.tls else []
        spread = ["-x"] if self.spread else []
        return pinned(self.cpus[1], [LOAD, role, "-h", self.host, "-p", str(self.port), *own, *spread,
                                     *map(str, words)])

    def stop(self):
        for p in self.processes:
            p.stop()
