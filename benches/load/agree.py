#!/usr/bin/env python3
"""Compares the figures of uringload with those of wrk, ab and oha, and with servers whose delays are
known. Prints a line for each comparison, and exits with 1 if one is out of bounds.

usage: agree.py [--seconds N] [--rounds N] [--clients LIST] [--oha PROGRAM]

Part 1, rates: a server that answers each request after a known delay, so that the server is the
limit. The clients run in turn in each round; the median of each has to be within 3 % of
uringload's.

Part 2, latencies: delays that are constant, that have two values, and that come from a stall of the
whole server. uringload's percentiles have to be within 1 ms or 2 % of the delays that the server
wrote down.

Part 3, open loop: the percentiles of wrk2's method (the end of each response minus the time at which
its request was due) are computed from the known stall, and compared with uringload --rate.

Needs wrk, apache2-utils, and oha (cargo install oha). All load goes to 127.0.0.1.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
URINGLOAD = os.path.join(ROOT, "target/release/uringload")
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SERVER_CORE, CLIENT_CORE = "0", "1"
STALL_AT, STALL_FOR = 1.0, 1.0


class Delays(asyncio.Protocol):
    """Answers each request after the delay of its number, and writes down what the delay became."""

    numbers, began, log = 0, None, None

    def connection_made(self, transport):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport, self.bytes, self.keeps = transport, b"", True

    def data_received(self, data):
        self.bytes += data
        while (end := self.bytes.find(b"\r\n\r\n")) >= 0:
            head, self.bytes = self.bytes[:end], self.bytes[end + 4 :]
            # ab sends HTTP/1.0, and wants to be told that the connection persists.
            extra = b"Connection: keep-alive\r\n" if b"HTTP/1.0" in head else b""
            now = time.monotonic()
            if Delays.began is None:
                Delays.began = now
            Delays.numbers += 1
            delay = Delays.of(Delays.numbers, now - Delays.began)
            response = RESPONSE.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n")
            # The clock of the loop is the monotonic one.
            loop.call_at(now + delay, self.answer, response, now)

    def answer(self, response, since):
        if not self.transport.is_closing():
            self.transport.write(response)
            Delays.log.append(time.monotonic() - since)


def constant(seconds):
    return lambda number, at: seconds


def bimodal(number, at):
    return 0.1 if number % 20 == 0 else 0.01


def stall(number, at):
    """Nothing is answered from STALL_AT to STALL_AT + STALL_FOR."""
    return STALL_AT + STALL_FOR - at if STALL_AT <= at < STALL_AT + STALL_FOR else 0.0


def serve(delays, channel):
    """Serves until the channel says to end, and sends the delays back."""
    global loop
    os.sched_setaffinity(0, {int(SERVER_CORE)})
    Delays.of, Delays.log = staticmethod(delays), []
    loop = asyncio.new_event_loop()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    loop.run_until_complete(loop.create_server(Delays, sock=listener))
    channel.send(listener.getsockname()[1])
    loop.add_reader(channel.fileno(), loop.stop)
    loop.run_forever()
    channel.send(Delays.log)


class Server:
    def __init__(self, delays):
        self.channel, theirs = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=serve, args=(delays, theirs), daemon=True)
        self.process.start()
        self.url = f"http://127.0.0.1:{self.channel.recv()}/"

    def end(self):
        self.channel.send("end")
        log = self.channel.recv()
        self.process.join()
        return log


def run(words):
    words = ["taskset", "-c", CLIENT_CORE] + words
    found = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if not found.stdout and found.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit {found.returncode}: {found.stderr}")
    return found.stdout


def uringload(url, *words):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        run([URINGLOAD, "--json", file.name, "--quiet", "--processes", "1", *words, url])
        return json.load(open(file.name))["runs"][0]


def rates(options):
    """The rate that each client finds, by its own report."""

    def of_wrk(url, connections, seconds):
        text = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url])
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])

    def of_ab(url, connections, seconds):
        text = run(["ab", "-k", "-t", str(seconds), "-n", "10000000", "-c", str(connections), url])
        return float(re.search(r"Requests per second:\s+([\d.]+)", text)[1])

    def of_oha(url, connections, seconds):
        words = [options.oha, "--no-tui", "--output-format", "json", "-z", f"{seconds}s"]
        report = json.loads(run(words + ["-c", str(connections), url]))
        return report["summary"]["requestsPerSec"]

    def of_uringload(url, connections, seconds):
        return uringload(url, "-c", str(connections), "-d", f"{seconds}s")["rate"]

    all_clients = {"uringload": of_uringload, "wrk": of_wrk, "ab": of_ab, "oha": of_oha}
    clients = {name: all_clients[name] for name in ["uringload", *options.clients.split(",")]}
    for connections, delay in [(1, 0.02), (10, 0.02), (64, 0.05), (200, 0.2)]:
        # Responses come in batches, one per delay: with fewer of them, one batch before or after the
        # end would be more than the difference that is looked for.
        seconds = max(options.seconds, round(80 * delay))
        found = {name: [] for name in clients}
        for _ in range(options.rounds):
            for name, measure in clients.items():
                server = Server(constant(delay))
                found[name].append(measure(server.url, connections, seconds))
                server.end()
        medians = {name: statistics.median(values) for name, values in found.items()}
        for name in list(clients)[1:]:
            ratio = medians["uringload"] / medians[name]
            text = (
                f"{connections} connections, {delay * 1000:.0f} ms: uringload "
                f"{medians['uringload']:.1f}/s, {name} {medians[name]:.1f}/s, ratio {ratio:.3f}"
            )
            yield text, abs(ratio - 1) <= 0.03


def quantile(values, percentile):
    """The value that HdrHistogram means: the lowest that at least this share doesn't exceed."""
    values = sorted(values)
    rank = max(1, -(-len(values) * percentile // 100))
    return values[int(rank) - 1]


def compare(name, found, expected):
    """Lines that compare percentiles in microseconds with exact values in seconds."""
    for key, percentile in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)]:
        ours, exact = found[key] / 1e3, quantile(expected, percentile) * 1e3
        is_near = abs(ours - exact) <= max(1.0, 0.02 * exact)
        yield f"{name}, {key}: {ours:.2f} ms for {exact:.2f} ms", is_near


def latencies(options):
    for name, delays in [("constant 20 ms", constant(0.02)), ("10 ms and 100 ms", bimodal)]:
        server = Server(delays)
        # Few connections: the server writes down the time from which its loop saw a request, and with
        # many of them requests wait for the loop unseen.
        found = uringload(server.url, "-c", "4", "-n", "1000")
        yield from compare(name, found["response_us"], server.end())
    server = Server(stall)
    found = uringload(server.url, "-c", "20", "-d", "4s", "--timeout", "5s")
    log = server.end()
    longest = found["response_us"]["max"] / 1e6
    yield f"stall, closed loop, max: {longest:.3f} s for {max(log):.3f} s", abs(longest - max(log)) < 0.02


def open_loop(options):
    """The stall begins STALL_AT after the first request, which is due at 0."""
    rate, seconds = 200, 4
    server = Server(stall)
    found = uringload(server.url, "-c", "300", "--rate", str(rate), "-d", f"{seconds}s")
    server.end()
    due = [number / rate for number in range(rate * seconds)]
    until = STALL_AT + STALL_FOR
    expected = [until - at if STALL_AT <= at < until else 0.0 for at in due]
    yield from compare("open loop, connections for all", found["response_us"], expected)
    # With four connections, the requests that queue up behind the stall are sent late, and count
    # from the time at which they were due all the same.
    server = Server(stall)
    found = uringload(server.url, "-c", "4", "--rate", str(rate), "-d", f"{seconds}s")
    server.end()
    yield from compare("open loop, four connections", found["response_us"], expected)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", default="wrk,ab,oha")
    parser.add_argument("--oha", default=shutil.which("oha") or "oha")
    options = parser.parse_args()
    wrong = 0
    for part in (rates, latencies, open_loop):
        for text, is_right in part(options):
            print("ok   " if is_right else "WRONG", text, flush=True)
            wrong += not is_right
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
