#!/usr/bin/env python3
"""Throughput and server CPU time beyond loopback: delay, loss and slow readers, beside nginx.

usage: beyond.py [--rounds N] [--seconds N] [--links LIST] [--pages LIST] [--loads LIST]
                 [--names LIST] [--program PATH]

Server and client are in network namespaces of their own, with tests/relay.py between them, whose
links are: `near`, 1 ms in each direction; `far`, 20 ms and 0.1 % of the packets lost; `slow`, 5 ms
and 10 Mbit/s for each connection. Pages of 5, 100 and 1,000 KB are files of a folder.
Loads: kN is wrk with N persistent connections, cN is wrk with N connections of one request each.
Servers: `uringstatic`, `uringstatic-epoll`, and `nginx` with sendfile, tcp_nopush and cached open
files. Rounds, CPU time and cores are those of run.py; the relay shares core 1 with the client, and
bounds the throughput of `near`. Ratios are to nginx, within a round.

Has to be run by root. Needs wrk, nginx-light and iproute2, and builds the rest unless --program
names it. The namespaces live in those of this script's own, so they go with it.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import run

LINKS = {
    "near": ["--delay", "1"],
    "far": ["--delay", "20", "--loss", "0.1"],
    "slow": ["--delay", "5", "--mbit", "10"],
}
RELAY = os.path.join(run.ROOT, "tests/relay.py")
SERVER, CLIENT = "10.97.0.1", "10.97.0.2"
NGINX = """worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 2000; }}
http {{
  access_log off; keepalive_requests 100000000; open_file_cache max=10; default_type text/html;
  sendfile on; tcp_nopush on;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 80 backlog=4096; root {folder}/site; }}
}}
"""
READ = re.compile(r"requests in ([\d.]+)(s), ([\d.]+)([KMG]?B) read")
UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
# About the length of a response's head.
HEAD_BYTES = 250
INSIDE = "BENCH_INSIDE_NAMESPACES"


def main():
    options = read_options()
    if INSIDE not in os.environ:
        options.program = options.program or next(run.build())
        words = [*sys.argv[1:], "--program", options.program]
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, __file__, *words])
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, options)
        for number in range(options.rounds):
            for link in options.links:
                with Link(link):
                    for key in ((page, load) for page in options.pages for load in options.loads):
                        for name in options.names:
                            result = bench.measure(name, *key)
                            results.setdefault((link, *key, name), []).append(result)
                            words = " ".join([link, *key, name])
                            print(f"round {number + 1}: {words}: {result}", file=sys.stderr)
    print_table(results)
    if any(result["errors"] for rounds in results.values() for result in rounds):
        sys.exit("some requests failed, so the figures are not valid")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    listed = lambda text: text.split(",")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk")
    parser.add_argument("--links", type=listed, default=list(LINKS))
    parser.add_argument("--pages", type=listed, default=["5", "100", "1000"], help="in KB")
    parser.add_argument("--loads", type=listed, default=["k64", "c64"])
    names = ["uringstatic", "uringstatic-epoll", "nginx"]
    parser.add_argument("--names", type=listed, default=names)
    parser.add_argument("--program", help="of this server, instead of building it")
    return parser.parse_args()


class Link:
    """A relay between both namespaces, as long as it is entered."""

    def __init__(self, name):
        if not os.path.exists("/run/netns/server"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
            for side in "server", "client":
                ip("netns", "add", side)
                ip("-n", side, "link", "set", "lo", "up")
        command = ["taskset", "-c", run.CLIENT_CORE, sys.executable, RELAY, "server", "client"]
        self.relay = subprocess.Popen([*command, *LINKS[name]])

    def __enter__(self):
        for side, address in ("server", SERVER), ("client", CLIENT):
            shown = ["ip", "-n", side, "link", "show", "wire"]
            while subprocess.run(shown, capture_output=True, check=False).returncode != 0:
                assert self.relay.poll() is None, "the relay has ended"
                threading.Event().wait(0.02)
            ip("-n", side, "address", "add", f"{address}/24", "dev", "wire")
            ip("-n", side, "link", "set", "wire", "txqueuelen", "20000", "up")

    def __exit__(self, *_):
        self.relay.terminate()
        self.relay.wait()


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Bench:
    """Starts servers, loads them, and measures their CPU time."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        # Started by root, the server reads files as nobody, which can't enter a private folder.
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/site")
        for page in options.pages:
            with open(f"{folder}/site/{page}.html", "w", encoding="ascii") as file:
                file.write("x" * (int(page) * 1000))
        with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
            file.write(NGINX.format(folder=folder))

    def measure(self, name, page, load):
        within = ["ip", "netns", "exec", "server", "taskset", "-c", run.SERVER_CORE]
        command = [*within, *self.command(name)]
        text, used = run.under_load(command, self.await_server, lambda: self.load(page, load))
        return read(text, used, int(page) * 1000)

    def command(self, name):
        if name == "nginx":
            return ["nginx", "-c", f"{self.folder}/nginx.conf"]
        engine = "epoll" if name.endswith("-epoll") else "io_uring"
        ours = ["--listen", f"{SERVER}:80", "--root", f"{self.folder}/site", "--compress", "off"]
        return [self.options.program, "--engine", engine, "--quiet", *ours]

    def await_server(self, server):
        """Waits until the server listens, which it does in another namespace."""
        end = time.monotonic() + 10
        listeners = ["ip", "netns", "exec", "server", "ss", "-Hltn", "sport = :80"]
        while time.monotonic() < end:
            assert server.poll() is None, "the server has ended"
            if subprocess.run(listeners, capture_output=True, check=True).stdout:
                return
            threading.Event().wait(0.05)
        sys.exit("a server did not listen within 10 s")

    def load(self, page, load):
        kind, connections = load[0], load[1:]
        extra = ["-H", "Connection: close"] if kind == "c" else []
        command = ["ip", "netns", "exec", "client", "taskset", "-c", run.CLIENT_CORE]
        command += ["wrk", "-t", "1", "-c", connections, "-d", f"{self.options.seconds}s"]
        command += ["--latency", "--timeout", "30s", *extra, f"http://{SERVER}/{page}.html"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read(text, used, page_bytes):
    """The result of a run, counted in bytes: a link may carry few whole pages in its time."""
    result = run.read_wrk(text)
    number, unit, seconds = READ.search(text).group(3, 4, 1)
    pages = float(number) * UNITS[unit] / (page_bytes + HEAD_BYTES)
    assert pages > 0, "the link carries bytes"
    result["cpu_us"] = used * 1e6 / pages
    result["per_second"] = pages / float(seconds)
    return result


def print_table(results):
    print("| link | page | load | server | CPU µs a page | to nginx | pages/s | to nginx | p99 ms |")
    print("|---|--:|---|---|--:|--:|--:|--:|--:|")
    for (link, page, load, name), rounds in results.items():
        base = results.get((link, page, load, "nginx"), [])
        median = lambda key: statistics.median(result[key] for result in rounds)

        def ratio(key):
            pairs = [(a[key], b[key]) for a, b in zip(rounds, base)]
            return f"{statistics.median(a / b for a, b in pairs):.2f}" if pairs else ""

        print(
            f"| {link} | {page} KB | {load} | {name} | {median('cpu_us'):.1f} | {ratio('cpu_us')}"
            f" | {median('per_second'):.0f} | {ratio('per_second')} | {median('p99_ms'):.1f} |"
        )


if __name__ == "__main__":
    main()
