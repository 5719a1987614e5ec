#!/usr/bin/env python3
"""Server CPU time per request with several workers, and of other servers with two.

usage: workers.py [--rounds N] [--seconds N] [--loads LIST] [--names LIST] [--count N] [--apart]

Names: `single` is this server with --single-process, a number is this server with that many
workers, `nginx`, `h2o` and `haproxy` are those servers with two workers or threads and the same
page. Servers and clients share cores 0 and 1; with --apart, servers run on core 0 and clients on
core 1. Loads, rounds and CPU time are those of run.py. Ratios are to the first name.

Needs wrk, apache2-utils, and the servers that are named: nginx-light, h2o, haproxy.
"""

import argparse
import os
import statistics
import sys

import run

PAGE = os.path.join(run.ROOT, "src/site/page.html")
NGINX = """worker_processes {threads}; daemon off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections {connections}; }}
http {{
  access_log off; keepalive_requests 100000000; open_file_cache max=10; default_type text/html;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }}
}}
"""
H2O = """num-threads: {threads}
max-connections: {connections}
listen: {{ host: 127.0.0.1, port: {port} }}
hosts: {{ default: {{ paths: {{ "/": {{ file.dir: {folder} }} }} }} }}
"""
HAPROXY = """global
  nbthread {threads}
  maxconn {connections}
  no strict-limits
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend page
  bind 127.0.0.1:{port} backlog 4096
  http-request return status 200 content-type text/html file {folder}/index.html
"""
OTHERS = {
    "nginx": (NGINX, lambda file: ["nginx", "-c", file]),
    "h2o": (H2O, lambda file: ["h2o", "-c", file]),
    "haproxy": (HAPROXY, lambda file: ["haproxy", "-db", "-f", file]),
}


class Servers:
    """The other servers, with this number of workers or threads."""

    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads
        with open(PAGE, "rb") as page, open(os.path.join(folder, "index.html"), "wb") as copy:
            copy.write(page.read())

    def command(self, name, port):
        text, command = OTHERS[name]
        file = os.path.join(self.folder, f"{name}.conf")
        settings = {"folder": self.folder, "port": port, "threads": self.threads}
        with open(file, "w", encoding="utf-8") as out:
            out.write(text.format(connections=run.SPAWN, **settings))
        return command(file)


class Bench(run.Bench):
    """The servers of this comparison, on all cores."""

    server_cores, client_cores, client_threads = "0,1", "0,1", "2"

    def __init__(self, folder, options):
        super().__init__(folder, options)
        if options.apart:
            self.server_cores, self.client_cores, self.client_threads = "0", "1", "1"
        os.chmod(folder, 0o755)
        self.others = Servers(folder, threads=2)

    def command(self, name, load, port):
        if name in OTHERS:
            return self.others.command(name, port)
        form = ["--single-process"] if name == "single" else ["--workers", name]
        return [self.program, "--listen", f"127.0.0.1:{port}", "--quiet", *form]


def main():
    options = read_options()
    results = run.measure_rounds(Bench, options)
    print("| load | server | CPU µs | to the first | requests/s | p99 ms |")
    print("|---|---|--:|--:|--:|--:|")
    for load in options.loads:
        for name in options.names:
            print_row(load, name, results, options.names[0])
    if any(result["errors"] for rounds in results.values() for result in rounds):
        sys.exit("some requests failed, so the figures are not valid")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    listed = lambda text: text.split(",")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk")
    parser.add_argument("--count", type=int, default=40000, help="requests of each run of ab")
    parser.add_argument("--loads", type=listed, default=["k64", "k512", "p64", "c100"])
    names = ["1", "single", "2", "4", "8"]
    parser.add_argument("--names", type=listed, default=names)
    parser.add_argument("--apart", action="store_true", help="a core each for servers and clients")
    return parser.parse_args()


def print_row(load, name, results, first):
    rounds, others = results[load, name], results[load, first]
    median = lambda key: statistics.median(result[key] for result in rounds)
    # Ratios are taken within a round, where both servers ran at nearly the same time.
    ratio = statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in zip(rounds, others))
    print(
        f"| {load} | {name} | {median('cpu_us'):.2f} | {ratio:.2f} | {median('per_second'):.0f}"
        f" | {median('p99_ms'):.2f} |"
    )


if __name__ == "__main__":
    main()
