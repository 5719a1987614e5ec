#!/usr/bin/env python3
"""Draws coordinated omission: one server that stalls for a second, under a closed and an open loop.

usage: omission.py [--program URINGLOAD] [--out docs/coordinated-omission.svg]

A closed loop has one request on each connection during the stall, so almost all of its requests
meet a server in good health. An open loop counts every request that users would have made.
"""

import argparse
import os
import subprocess
import tempfile

import agree


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--program", default=agree.URINGLOAD)
    parser.add_argument("--out", default=os.path.join(agree.ROOT, "docs/coordinated-omission.svg"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for label, words in [("closed loop", []), ("open loop", ["--rate", "500"])]:
            server = agree.Server(agree.stall)
            files.append(os.path.join(folder, label + ".json"))
            load = ["-c", "10", "-d", "10s", "--label", label, "--json", files[-1], *words]
            subprocess.run([options.program, "--processes", "1", *load, server.url], check=True)
            server.end()
        subprocess.run([options.program, "compare", *files, "--svg", options.out], check=True)


if __name__ == "__main__":
    main()
