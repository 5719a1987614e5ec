#!/usr/bin/env python3
"""Server CPU time per request: this server on each engine, nginx and the floors, in turn on one core.

usage: run.py [--rounds N] [--seconds N] [--loads LIST] [--names LIST] [--count N] [--json FILE]

nginx is measured twice: with its default settings, and with `listen ... deferred`. The cost of the
sandbox is measured by `--names uringstatic,uringstatic-unlocked`.

Servers run on core 0 and clients on core 1. Each round measures all servers under each load, so
that a change on the machine affects all of them alike. Medians over the rounds are printed as a
Markdown table. CPU time is the scheduler's count for the server's processes
(/proc/PID/task/TID/schedstat) during a load, divided by the requests that the client completed.

Loads: kN is wrk with N persistent connections, pN is kN with 16 pipelined requests, cN is ab with
N simultaneous connections and a new connection for each request. bN and qN are kN and pN with the
head of a browser: 15 field lines and 744 bytes, where wrk's own has 1 and 43. N is at most 12,000:
the servers have room for 13,000 connections, and an address of a client for 28,000 (ip(7),
ip_local_port_range).

Needs wrk, apache2-utils and nginx-light, and builds the rest. The floor doesn't parse requests, so
it needs their length, which is measured first by receiving one request of each client.
"""

import argparse
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PIPELINE_DEPTH = 16
PIPELINE = f"""
init = function()
  local requests = {{}}
  for i = 1, {PIPELINE_DEPTH} do requests[i] = wrk.format("GET", "/") end
  batch = table.concat(requests)
end
request = function() return batch end
"""
# The fields of a navigation in Chrome 128 on Linux, without those that belong to a user or a cache
# (Cookie, If-None-Match).
BROWSER_FIELDS = [
    "Host: www.example.com",
    "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/128.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Referer: https://www.example.com/articles/2026/closer-to-the-limit?page=2",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
]
SERVER_CORE, CLIENT_CORE = "0", "1"
OURS, NGINX, FLOOR = "uringstatic", "nginx", "floor"
# The same on the other engine.
OURS_EPOLL, FLOOR_EPOLL = OURS + "-epoll", FLOOR + "-epoll"
SPAWN = "13000"
# nginx with TCP_DEFER_ACCEPT, which this server sets by default.
NGINX_DEFERRED = "nginx-deferred"
# This server with --no-lockdown; measured only if --names has it.
UNLOCKED, UNLOCKED_EPOLL = OURS + "-unlocked", OURS_EPOLL + "-unlocked"
# This server with further options, and nginx with an access log; measured only if --names has them.
OPTIONS = {
    "-unlocked": ["--no-lockdown"],
    "-log": ["--access-log", "{log}"],
    "-json": ["--access-log", "{log}", "--log-format", "json"],
    "-admin": ["--admin", "127.0.0.1:0"],
}
NGINX_LOG = "nginx-log"
# The servers for which there is a column of ratios, and its title.
PEERS = {
    NGINX: "nginx",
    NGINX_DEFERRED: "deferred",
    OURS: "uringstatic",
    FLOOR: "floor",
    FLOOR_EPOLL: "floor on epoll",
    UNLOCKED: "unlocked",
    UNLOCKED_EPOLL: "unlocked on epoll",
}
DEFAULT_NAMES = [OURS, OURS_EPOLL, NGINX, NGINX_DEFERRED, FLOOR, FLOOR_EPOLL]


def main():
    options = read_options()
    results = measure_rounds(Bench, options)
    rows = [row(load, name, results) for load in options.loads for name in options.names]
    print_table(rows, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    if any(line["errors"] for line in rows):
        sys.exit("some requests failed, so the figures are not valid")


def measure_rounds(bench_class, options):
    """The results of all rounds, by load and name."""
    allow_many_files()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = bench_class(folder, options)
        for number in range(options.rounds):
            for load in options.loads:
                for name in options.names:
                    result = bench.measure(name, load)
                    results.setdefault((load, name), []).append(result)
                    print(f"round {number + 1}: {load} {name}: {result}", file=sys.stderr)
    return results


def allow_many_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    listed = lambda text: text.split(",")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk")
    parser.add_argument("--count", type=int, default=40000, help="requests of each run of ab")
    parser.add_argument("--loads", type=listed, default=["k64", "k512", "p64", "c100", "k12000"])
    parser.add_argument("--names", type=listed, default=DEFAULT_NAMES)
    parser.add_argument("--json", help="also write the rows to this file")
    return parser.parse_args()


class Bench:
    """Starts servers, loads them, and measures their CPU time."""

    server_cores, client_cores, client_threads = SERVER_CORE, CLIENT_CORE, "1"

    def __init__(self, folder, options):
        self.options = options
        self.script = os.path.join(folder, "pipeline.lua")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(PIPELINE)
        self.log = os.path.join(folder, "access.log")
        self.program, self.floor = build()
        self.request_bytes = {}

    def measure(self, name, load):
        port = free_port()
        command = ["taskset", "-c", self.server_cores, *self.command(name, load, port)]
        await_ready = lambda server: await_listener(server, port)
        result, used = under_load(command, await_ready, lambda: self.run_client(load, port))
        if os.path.exists(self.log):
            os.remove(self.log)
        result["cpu_us"] = used * 1e6 / max(result["requests"], 1)
        return result

    def command(self, name, load, port):
        engine = ["--engine", "epoll" if "-epoll" in name else "io_uring"]
        ours = [*engine, "--spawn", SPAWN]
        if name.startswith(OURS):
            suffix = next((it for it in OPTIONS if name.endswith(it)), None)
            extra = [word.format(log=self.log) for word in OPTIONS.get(suffix, [])]
            return [self.program, "--listen", f"127.0.0.1:{port}", "--quiet", *ours, *extra]
        if name == NGINX_LOG:
            log = f"ACCESS_LOG={self.log} combined"
            return ["env", log, os.path.join(ROOT, "benches/post/nginx"), str(port)]
        if name in (NGINX, NGINX_DEFERRED):
            extra = ["deferred"] if name == NGINX_DEFERRED else []
            return [os.path.join(ROOT, "benches/post/nginx"), str(port), *extra]
        extra = ["--close"] if load[0] == "c" else []
        length = self.length_of_request(load)
        return [self.floor, "--port", str(port), "--request-bytes", str(length), *ours, *extra]

    def client(self, load, port):
        kind, connections = load[0], load[1:]
        url = f"http://127.0.0.1:{port}/"
        if kind == "c":
            count = str(self.options.count)
            return ["ab", "-r", "-q", "-s", "30", "-c", connections, "-n", count, url]
        extra = ["-s", self.script] if kind in "pq" else []
        extra += [word for field in BROWSER_FIELDS if kind in "bq" for word in ("-H", field)]
        seconds = f"{self.options.seconds}s"
        return ["wrk", "-t", self.client_threads, "-c", connections, "-d", seconds, "--latency", *extra, url]

    def run_client(self, load, port):
        command = ["taskset", "-c", self.client_cores, *self.client(load, port)]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return read_ab(text) if load[0] == "c" else read_wrk(text)

    def length_of_request(self, load):
        """The number of bytes of a client's request, with a port of five digits."""
        if load[0] not in self.request_bytes:
            self.request_bytes[load[0]] = self.receive_request(load[0])
        return self.request_bytes[load[0]]

    def receive_request(self, kind):
        with socket.create_server(("127.0.0.1", free_port())) as listener:
            listener.settimeout(10)
            port = listener.getsockname()[1]
            assert port > 9999, "all ports have five digits"
            client = subprocess.Popen(
                self.client(kind + "1", port),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            request = b""
            try:
                while b"\r\n\r\n" not in request:
                    peer, _ = listener.accept()
                    with peer:
                        peer.settimeout(5)
                        try:
                            request = peer.recv(65536)
                        except TimeoutError:
                            continue
            finally:
                client.kill()
                client.wait()
        return request.index(b"\r\n\r\n") + 4


def build():
    """Builds this server and the floor; yields the paths of the programs."""
    for kind, name, profile in ("--bin", OURS, "--release"), ("--bench", FLOOR, "--profile=release"):
        command = ["cargo", "build", "--message-format=json-render-diagnostics", kind, name, profile]
        text = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        built = [json.loads(line) for line in text.stdout.splitlines()]
        # Building a bench also builds the package's programs.
        yield next(
            line["executable"]
            for line in built
            if line.get("executable") and line["target"]["name"] == name
        )


def under_load(command, await_ready, load):
    """Starts a server, waits until it is ready, makes a load, and ends the server: the result of the
    load, and the server's CPU time in seconds during it."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_ready(server)
        before = cpu_seconds(server.pid)
        result = load()
        return result, cpu_seconds(server.pid) - before
    finally:
        # The master process of nginx ends its worker.
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port():
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        if port > 9999:
            return port


def await_listener(server, port):
    """Waits until the server listens, by connecting without a request."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if server.poll() is not None:
            sys.exit(f"a server ended with {server.returncode} before it listened")
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            threading.Event().wait(0.05)
    sys.exit("a server did not listen within 10 s")


def descendants(pid):
    """The process and its descendants."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    members = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in members} - members
        if not more:
            return members
        members |= more


def cpu_seconds(pid):
    total = 0
    for member in descendants(pid):
        folder = f"/proc/{member}/task"
        try:
            for thread in os.listdir(folder):
                with open(f"{folder}/{thread}/schedstat", encoding="utf-8") as file:
                    total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def read_wrk(text):
    number = lambda pattern: float(re.search(pattern, text).group(1))
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text).groups()
    return {
        "requests": int(number(r"(\d+) requests in")),
        "per_second": number(r"Requests/sec:\s+([\d.]+)"),
        "p99_ms": float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit],
        "errors": sum(map(int, errors.groups() if errors else ()))
        + int(refused.group(1) if refused else 0),
    }


def read_ab(text):
    number = lambda pattern: float(re.search(pattern, text).group(1))
    return {
        "requests": int(number(r"Complete requests:\s+(\d+)")),
        "per_second": number(r"Requests per second:\s+([\d.]+)"),
        "p99_ms": number(r"\n\s+99%\s+(\d+)"),
        "errors": int(number(r"Failed requests:\s+(\d+)")),
    }


def row(load, name, results):
    rounds = results[load, name]
    median = lambda key: statistics.median(result[key] for result in rounds)
    cpu = median("cpu_us")
    line = {"load": load, "server": name, "cpu_us": cpu, "rounds": len(rounds)}
    line["spread_us"] = [pick(result["cpu_us"] for result in rounds) for pick in (min, max)]
    line["per_second"] = median("per_second")
    line["p99_ms"] = median("p99_ms")
    line["errors"] = sum(result["errors"] for result in rounds)
    for peer in PEERS:
        # Ratios are taken within a round, where both servers ran at nearly the same time.
        pairs = zip(rounds, results.get((load, peer), []))
        ratios = [result["cpu_us"] / other["cpu_us"] for result, other in pairs]
        line["to_" + peer] = statistics.median(ratios) if ratios else None
    return line


def print_table(rows, options):
    ratio = lambda value: "" if value is None else f"{value:.3f}"
    peers = [peer for peer in PEERS if peer in options.names]
    columns = ["CPU µs", "lowest to highest", *(f"to {PEERS[peer]}" for peer in peers)]
    columns += ["requests/s", "p99 ms"]
    print(f"CPU time per request, medians of {options.rounds} rounds, ratios within rounds\n")
    print("| load | server |", " | ".join(columns), "|")
    print("|---|---|" + "--:|" * len(columns))
    for line in rows:
        low, high = line["spread_us"]
        print(
            f"| {line['load']} | {line['server']} | {line['cpu_us']:.2f} | {low:.2f} to {high:.2f}"
            f" | {' | '.join(ratio(line['to_' + peer]) for peer in peers)}"
            f" | {line['per_second']:.0f} | {line['p99_ms']:.2f} |"
        )


if __name__ == "__main__":
    main()
