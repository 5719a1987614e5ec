#!/usr/bin/env python3
"""Response times under a fixed rate: this server on each engine, nginx, h2o and HAProxy.

usage: tails.py [--rounds N] [--seconds N] [--connections LIST] [--shares LIST] [--names LIST]
                [--of own|common] [--program FILE] [--client FILE] [--before FILE] [--json FILE]

Servers run on core 0 with one worker or thread each, uringload on core 1, in turn. For each number
of connections, the limit of each server is measured first: its rate in a closed loop, the median of
as many rounds. Then uringload makes requests at a share of that limit, independent of the server
(open loop): response times count from the time at which a request was due. With `--of own` each
server is asked for a share of its own limit, with `--of common` all for a share of the lowest
limit: the same rate for all. Each round has all servers; the table has medians over the rounds.

A time in parentheses is of a round with requests that were never sent, or of a client that was
itself the limit: then the time says little about the server. The last two columns are the lowest
percentiles of a round, as a pause of the machine of a few milliseconds makes most of a p99.

nginx has the page in memory (benches/post/nginx); h2o and HAProxy are configured as in workers.py,
with one thread. `before` is this server from the program that --before names.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import run
import workers

OURS, BEFORE = run.OURS, "before"
NAMES = [OURS, run.OURS_EPOLL, run.NGINX, "h2o", "haproxy"]
PERCENTILES = ["p50", "p99", "p99_9", "max"]
LOWEST = ["p99", "p99_9"]


def main():
    options = read_options()
    run.allow_many_files()
    with tempfile.TemporaryDirectory() as folder:
        bench = TailsBench(folder, options)
        rows = [row for number in options.connections for row in measure(bench, number, options)]
    print_table(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


def measure(bench, connections, options):
    """The rows of all servers with this number of connections."""
    limits = {name: [] for name in options.names}
    for _ in range(options.rounds):
        for name in options.names:
            limits[name].append(bench.load(name, connections, None)["rate"])
    limits = {name: statistics.median(rates) for name, rates in limits.items()}
    if not all(limits.values()):
        sys.exit(f"no rate with {connections} connections, perhaps for want of --warmup: {limits}")
    rows = []
    for share in options.shares:
        results = {name: [] for name in options.names}
        for number in range(options.rounds):
            for name in options.names:
                limit = limits[name] if options.of == "own" else min(limits.values())
                result = bench.load(name, connections, max(1, round(limit * share / 100)))
                results[name].append(result)
                told = f"round {number + 1}: {connections} {share} % {name}: {result}"
                print(told, file=sys.stderr)
        for name, rounds in results.items():
            rows.append(row(connections, share, name, limits[name], rounds))
    return rows


def row(connections, share, name, limit, rounds):
    median = lambda key: statistics.median(result[key] for result in rounds)
    line = {"connections": connections, "share": share, "server": name, "limit": limit}
    line.update({key: median(key) for key in ["rate_asked", "cpu_us", *PERCENTILES]})
    # A pause of the machine lengthens a round, and never shortens one.
    line.update({f"{key}_lowest": min(result[key] for result in rounds) for key in LOWEST})
    line["is_valid"] = not any(result["is_late"] for result in rounds)
    line["failed"] = sum(result["failed"] for result in rounds)
    return line


class TailsBench:
    """Starts servers and loads them with uringload."""

    def __init__(self, folder, options):
        os.chmod(folder, 0o755)
        self.folder, self.options = folder, options
        self.program, self.client = options.program, options.client
        if not self.program or not self.client:
            build = ["cargo", "build", "--release", "--bins"]
            subprocess.run(build, cwd=run.ROOT, check=True)
            target = os.path.join(run.ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release")
            self.program = self.program or os.path.join(target, OURS)
            self.client = self.client or os.path.join(target, "uringload")
        self.others = workers.Servers(folder, threads=1)

    def command(self, name, port):
        if name == run.NGINX:
            return [os.path.join(run.ROOT, "benches/post/nginx"), str(port)]
        if name in workers.OTHERS:
            return self.others.command(name, port)
        program = self.options.before if name.startswith(BEFORE) else self.program
        engine = ["--engine", "epoll" if "-epoll" in name else "io_uring"]
        return [program, "--listen", f"127.0.0.1:{port}", "--quiet", "--spawn", run.SPAWN, *engine]

    def load(self, name, connections, rate):
        """One run of uringload against a fresh server: at a rate, or in a closed loop."""
        port = run.free_port()
        command = ["taskset", "-c", run.SERVER_CORE, *self.command(name, port)]
        await_ready = lambda server: run.await_listener(server, port)
        make = lambda: self.run_client(connections, rate, port)
        report, used = run.under_load(command, await_ready, make)
        result = {key: report["response_us"][key] for key in PERCENTILES}
        result["rate"], result["rate_asked"] = report["rate"], rate or 0
        result["failed"] = report["failed"]
        result["is_late"] = bool(report["not_sent"]) or report["client_was_the_limit"]
        result["cpu_us"] = used * 1e6 / max(report["requests"], 1)
        return result

    def run_client(self, connections, rate, port):
        command = ["taskset", "-c", run.CLIENT_CORE, self.client, "--quiet", "-c", str(connections)]
        command += ["-d", f"{self.options.seconds}s", "--warmup", f"{self.options.warmup}s"]
        command += ["--processes", "1", "--json", "-"]
        if rate:
            command += ["--rate", str(rate), "--allow-missed-rate"]
        text = subprocess.run(
            [*command, f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True, check=False
        ).stdout
        return json.loads(text)["runs"][0]


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of uringload")
    parser.add_argument("--warmup", type=int, default=1, help="seconds that don't count")
    parser.add_argument("--connections", type=numbers, default=[64, 1000, 10000])
    parser.add_argument("--shares", type=numbers, default=[50, 90], help="of the limit, in percent")
    parser.add_argument("--names", type=lambda text: text.split(","), default=NAMES)
    parser.add_argument("--of", choices=["own", "common"], default="common", help="whose limit")
    parser.add_argument("--program", help="this server; built if not given")
    parser.add_argument("--client", help="uringload; built if not given")
    parser.add_argument("--before", help="another version of this server, for the name `before`")
    parser.add_argument("--json", help="also write the rows to this file")
    return parser.parse_args()


def print_table(rows):
    columns = "server | limit/s | rate/s | p50 µs | p99 µs | p99.9 µs | max µs"
    columns += " | lowest p99 | lowest p99.9"
    print(f"| connections | share | {columns} |")
    print("|--:|--:|---|" + "--:|" * 8)
    for line in rows:
        shown = "{:.0f}" if line["is_valid"] else "({:.0f})"
        keys = [*PERCENTILES, *(f"{key}_lowest" for key in LOWEST)]
        times = " | ".join(shown.format(line[key]) for key in keys)
        print(
            f"| {line['connections']} | {line['share']} % | {line['server']} | {line['limit']:.0f}"
            f" | {line['rate_asked']:.0f} | {times} |"
        )
    if any(line["failed"] for line in rows):
        sys.exit("some requests failed, so the figures are not valid")


if __name__ == "__main__":
    main()
