"""The parts of the benchmark. Each sets its ways up, measures them in turn round after round, and hands the
numbers to a Book. A part is a function whose name after "part_" is what the command line calls it."""
import json
import os
import resource
import subprocess
import time

import ways
from ways import LOAD, WORK, Way

LIMIT = 60  # seconds for one measurement
ONE, TWO = ("0", "0"), ("0", "1")


class Book:
    """results[part][work][metric][way] = values, one a round."""

    def __init__(self, rounds):
        self.rounds, self.results, self.part = rounds, {}, None

    def note(self, work, way, **metrics):
        for metric, value in metrics.items():
            place = self.results.setdefault(self.part, {}).setdefault(work, {}).setdefault(metric, {})
            place.setdefault(way, []).append(value)

    def run(self, work, setups, measure):
        """measure(way) -> metrics, interleaved."""
        for _ in range(self.rounds):
            for way in setups:
                self.note(work, way.name, **measure(way))


def client(way, argv):
    """Runs a client to its end: (its output, CPU seconds of it, of all servers and proxies)."""
    before, mine = way.cpu(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, env={**os.environ, **way.env}, capture_output=True, text=True,
                          timeout=LIMIT, check=False)
    if done.returncode:
        raise RuntimeError(f"{way.name}: {' '.join(argv)}: {done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - mine.ru_utime - mine.ru_stime
    return done.stdout, own, way.cpu() - before


def load(way, role, *words):
    """Runs the load program: what it says, and the CPU seconds of all sides during it."""
    output, _, servers = client(way, way.load(role, *words))
    said = json.loads(output)
    return said, said["cpu"] + servers


class Setups(list):
    """Ways that are stopped whatever happens."""

    def __init__(self, serve, names=ways.ALL, **options):
        super().__init__()
        try:
            for name in names:
                self.append(Way(name, serve, **options))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for way in self:
            way.stop()


def echo(mode, *words):
    def serve(host, port, tls):
        own = ["-t", tls] if tls else []
        return [LOAD, "server", "-h", host, "-p", str(port), "-m", mode, *own, *map(str, words)]
    return serve


def part_pingpong(book):
    for name, cpus in (("one CPU", ONE), ("two CPUs", TWO)):
        for mode in ("block", "level", "edge"):
            def measure(way, mode=mode):
                said, cpu = load(way, "pingpong", "-m", mode, "-d", 0.5)
                return {"p50 us": said["p50"] / 1000, "CPU us": cpu / said["n"] * 1e6}
            with Setups(echo(mode, "-s", 4096), cpus=cpus) as setups:
                book.run(f"64 B ping-pong, {mode}, {name}", setups, measure)


def serve_redis(host, port, tls):
    base = ["redis-server", "--bind", host, "--save", "", "--appendonly", "no", "--dir", WORK]
    if not tls:
        return [*base, "--port", str(port)]
    return [*base, "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "yes",
            "--tls-cert-file", tls + "/cert-chain.pem", "--tls-key-file", tls + "/key.pem",
            "--tls-ca-cert-file", tls + "/root-cert.pem", "--tls-protocols", "TLSv1.3",
            "--tls-ciphersuites", ways.SUITE]


def redis_benchmark(way, count, pipeline):
    own = ["--tls", "--cert", way.tls + "/cert-chain.pem", "--key", way.tls + "/key.pem",
           "--cacert", way.tls + "/root-cert.pem", "--tls-ciphersuites", ways.SUITE] if way.tls else []
    argv = ways.pinned(way.cpus[1], ["redis-benchmark", "-h", way.host, "-p", str(way.port), *own, "-t",
                                     "get", "-n", str(count), "-P", str(pipeline), "--csv"])
    output, own_cpu, servers = client(way, argv)
    rate = float(output.splitlines()[-1].split(",")[1].strip('"'))
    return {"requests/s": rate, "CPU s/100k": (own_cpu + servers) / count * 1e5}


def part_redis(book):
    """So many requests that the handshakes, which mtlswrap makes with the first ones, do not count."""
    with Setups(serve_redis, cpus=TWO) as setups:
        for pipeline, count in ((1, 300000), (16, 3000000)):
            book.run(f"redis-benchmark -P {pipeline}", setups,
                     lambda way, c=count, p=pipeline: redis_benchmark(way, c, p))


def serve_nginx(host, port, tls):
    folder = os.path.join(WORK, "www")
    for name, size in (("1k", 1024), ("10m", 10 << 20)):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            ways.write(os.path.join("www", name), "x" * size)
    own = f"""ssl_certificate {tls}/cert-chain.pem; ssl_certificate_key {tls}/key.pem;
        ssl_client_certificate {tls}/root-cert.pem; ssl_verify_client on; ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {ways.SUITE}; ssl_ecdh_curve X25519;""" if tls else ""
    return ["nginx", "-e", "stderr", "-p", WORK, "-c", ways.write(f"nginx{port}.conf", f"""
daemon off; master_process off; pid {WORK}/nginx{port}.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type text/plain;
    client_body_temp_path {WORK}/t1; proxy_temp_path {WORK}/t2; fastcgi_temp_path {WORK}/t3;
    uwsgi_temp_path {WORK}/t4; scgi_temp_path {WORK}/t5;
    server {{ listen {host}:{port}{" ssl" if tls else ""}; root {folder}; {own} }}
}}
""")]


def part_nginx(book):
    def small(way):
        said, cpu = load(way, "http", "-c", 16, "-u", "/1k", "-d", 1)
        return {"requests/s": said["rate"], "CPU s/100k": cpu / said["n"] * 1e5}

    def big(way):
        said, cpu = load(way, "http", "-c", 1, "-u", "/10m", "-d", 1)
        return {"MB/s": said["bytes"] / 1e6, "CPU s/GB": cpu / (said["n"] * 10.486e-3)}
    with Setups(serve_nginx, cpus=TWO) as setups:
        book.run("nginx 1 KB keep-alive", setups, small)
    with Setups(serve_nginx, cpus=ONE) as setups:
        book.run("nginx 10 MB by sendfile, one CPU", setups, big)


def part_stream(book):
    size = 1 << 30

    def measure(way):
        said, cpu = load(way, "stream", "-b", size, "-s", 65536)
        return {"CPU s/GB": cpu / (size / 1e9), "MB/s": said["rate"] / 1e6}
    with Setups(echo("block", "-k", "-b", size, "-s", 65536), cpus=TWO) as setups:
        book.run("64 KiB stream", setups, measure)


def part_iperf3(book):
    def measure(way):
        argv = ["iperf3", "-c", way.host, "-p", str(way.port), "-t", "2", "-J"]
        output, own, servers = client(way, ways.pinned(way.cpus[1], argv))
        took = json.loads(output)["end"]["sum_received"]
        return {"Gbit/s": took["bits_per_second"] / 1e9,
                "CPU s/GB": (own + servers) / (took["bytes"] / 1e9)}

    def serve(host, port, _tls):
        return ["iperf3", "-s", "-B", host, "-p", str(port)]
    with Setups(serve, ("plain", "stunnel", "haproxy", "mtlswrap"), cpus=TWO) as setups:
        book.run("iperf3", setups, measure)


def part_connect(book):
    """Connect, send 64 B, get them back, close; everything on one CPU. For full handshakes each connection
    of mtlswrap goes to another address, because a peer it knows would be resumed."""
    def measure(way, words=()):
        said, cpu = load(way, "connect", "-d", 1, *words)
        return {"connections/s": said["rate"], "CPU us": cpu / said["n"] * 1e6}
    with Setups(echo("level", "-s", 4096), cpus=ONE, resume=False, spread=True) as setups:
        book.run("full handshakes", setups, measure)
    with Setups(echo("level", "-s", 4096), cpus=ONE) as setups:
        book.run("resumed", setups, lambda way: measure(way, ["-r"]))


def part_idle(book):
    count = 5000

    def measure(way):
        with subprocess.Popen(way.load("idle", "-c", count), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, env={**os.environ, **way.env}) as crowd:
            try:
                seen = []
                for _ in range(2):
                    if not crowd.stdout.readline():
                        raise RuntimeError(f"{way.name}: the idle crowd ended")
                    time.sleep(0.5)  # what goes away by itself is gone then
                    seen.append((way.memory(), ways.memory(crowd.pid)))
                    crowd.stdin.write(b"x")
                    crowd.stdin.flush()
            finally:
                crowd.kill()
        (s0, c0), (s1, c1) = seen
        return {"bytes/side": (s1 - s0 + c1 - c0) / 2 / (count - 1), "server": (s1 - s0) / (count - 1),
                "client": (c1 - c0) / (count - 1)}
    rounds, book.rounds = book.rounds, 1  # memory does not vary
    try:
        for name in ways.ALL:
            with Setups(echo("level", "-s", 64), [name]) as setups:
                book.run("5,000 idle connections", setups, measure)
    finally:
        book.rounds = rounds


def local(book, work, argv, metric, rounds):
    for _ in range(rounds):
        for name in ("plain", "mtlswrap"):
            env = ways.wrapped("app/client") if name == "mtlswrap" else {}
            said = json.loads(subprocess.run(argv(env), check=True, capture_output=True, timeout=LIMIT,
                                             env={**os.environ, **env}).stdout)
            book.note(work, name, **metric(said))


def part_pipe(book):
    local(book, "1 B through a pipe", lambda env: ways.pinned("0", [LOAD, "pipe"]),
          lambda said: {"ns/call": said["call"], "ns/read": said["read"], "ns/write": said["write"]},
          4 * book.rounds)


def part_start(book):
    """Only the children are wrapped; the one who starts them must not be."""
    def argv(env):
        return ["env", *["-u" + name for name in env],
                *ways.pinned("0", [LOAD, "spawn", "100", *[f"{k}={v}" for k, v in env.items()], "/bin/true"])]
    local(book, "start of true", argv, lambda said: {"us": said["median"]}, 3 * book.rounds)


def part_policy(book):
    for _ in range(book.rounds):
        said = subprocess.run(ways.pinned("0", [os.path.join(ways.HOME, "policy")]), check=True,
                              capture_output=True, timeout=LIMIT)
        book.note("table of 10,000 rules", "mtlswrap", **json.loads(said.stdout))


PARTS = {name[5:]: function for name, function in list(globals().items()) if name.startswith("part_")}
