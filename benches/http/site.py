#!/usr/bin/env python3
"""Server CPU time per request of a whole site, compared with one page of the same size.

usage: site.py [--rounds N] [--seconds N] [--connections N] [--files N] [--bytes N] [--pipeline N]

wrk requests the site's files at random, the n-th in proportion to 1/n (Zipf). The same paths are
requested from a server with a single page, which answers every path. A third server has a folder
of one file, to which a rule leads from every path: its cost beyond the page is lookup and assembly;
the cost of the site beyond that is memory access. With `--pipeline`, so many requests for different
files are sent at a time. Servers run in turn on core 0, the client on
core 1. Medians over the rounds are printed, and medians of the ratios within a round.

Needs wrk, and builds the rest.
"""

import argparse
import itertools
import os
import random
import statistics
import subprocess
import tempfile

import run

SCRIPT = """
local requests, at = {}, 0
init = function()
  local batch = {}
  for line in io.lines("%s") do
    batch[#batch + 1] = wrk.format("GET", line)
    if #batch == %d then
      requests[#requests + 1] = table.concat(batch)
      batch = {}
    end
  end
end
request = function() at = at %% #requests + 1; return requests[at] end
"""
DRAWN = 50_000


def main():
    options = read_options()
    program = next(run.build())
    with tempfile.TemporaryDirectory() as folder:
        # Started by root, the server reads files as nobody, which can't enter a private folder.
        os.chmod(folder, 0o755)
        script = prepare(folder, options)
        servers = {
            "one page": ["--page", f"{folder}/page.html"],
            "a folder of one file": ["--root", f"{folder}/one", "--compress", "off"],
            "the site": ["--root", f"{folder}/site", "--compress", "off"],
        }
        results = {name: [] for name in servers}
        for number in range(options.rounds):
            for name, arguments in servers.items():
                result = measure(program, arguments, script, options)
                assert result["errors"] == 0, f"{name}: {result}"
                results[name].append(result["cpu_us"])
                print(f"round {number + 1}, {name}: {result['cpu_us']:.2f} us", flush=True)
    base = results["one page"]
    print("| content | CPU µs per request | to one page |\n|---|--:|--:|")
    for name, values in results.items():
        ratios = [value / one for value, one in zip(values, base)]
        print(f"| {name} | {statistics.median(values):.2f} | {statistics.median(ratios):.3f} |")


def prepare(folder, options):
    """Writes the files and the script for wrk; returns the path of the script."""
    source = random.Random(1)
    paths = []
    for number in range(options.files):
        path = f"section-{number % 100}/page-{number}.html"
        os.makedirs(os.path.dirname(f"{folder}/site/{path}"), exist_ok=True)
        with open(f"{folder}/site/{path}", "w", encoding="ascii") as file:
            file.write(f"{source.random()} ".ljust(options.bytes, "x"))
        paths.append("/" + path)
    with open(f"{folder}/page.html", "w", encoding="ascii") as file:
        file.write("x" * options.bytes)
    os.makedirs(f"{folder}/one")
    with open(f"{folder}/one/page.html", "w", encoding="ascii") as file:
        file.write("x" * options.bytes)
    with open(f"{folder}/one/_redirects", "w", encoding="ascii") as file:
        file.write("/* /page.html 200!\n")
    source.shuffle(paths)
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(paths))))
    with open(f"{folder}/paths", "w", encoding="ascii") as file:
        file.writelines(p + "\n" for p in source.choices(paths, cum_weights=weights, k=DRAWN))
    with open(f"{folder}/paths.lua", "w", encoding="ascii") as file:
        file.write(SCRIPT % (f"{folder}/paths", options.pipeline))
    return f"{folder}/paths.lua"


def measure(program, arguments, script, options):
    port = run.free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--quiet"]
    command = ["taskset", "-c", run.SERVER_CORE, program, *arguments, *listen]
    client = ["taskset", "-c", run.CLIENT_CORE, "wrk", "-t1", "-c", str(options.connections)]
    client += ["-d", f"{options.seconds}s", "--latency", "-s", script]
    client.append(f"http://127.0.0.1:{port}/")
    await_ready = lambda server: run.await_listener(server, port)
    load = lambda: subprocess.run(client, capture_output=True, text=True, check=True).stdout
    text, used = run.under_load(command, await_ready, load)
    result = run.read_wrk(text)
    result["cpu_us"] = used * 1e6 / max(result["requests"], 1)
    return result


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=4675)
    parser.add_argument("--pipeline", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
