#!/usr/bin/env python3
"""A link with delay, loss and a rate, for kernels without tc-netem(8): passes packets on between a
TUN device in each of two network namespaces, until it is ended.

usage: relay.py NAMESPACE NAMESPACE [--delay MS] [--loss PERCENT] [--mbit N]

Both devices are called "wire". The delay is that of one direction. The rate is that of each TCP
connection in each direction; its queue has room for 100 ms and drops what is beyond.
"""

import argparse
import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import time

CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 1, 0x1000
QUEUE_SECONDS = 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("namespaces", nargs=2)
    parser.add_argument("--delay", type=float, default=0, help="in milliseconds")
    parser.add_argument("--loss", type=float, default=0, help="in percent of the packets")
    parser.add_argument("--mbit", type=float, help="per second and connection; no limit without")
    options = parser.parse_args()
    relay(*map(device, options.namespaces), options)


def device(namespace):
    place = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    assert ctypes.CDLL(None, use_errno=True).setns(place, CLONE_NEWNET) == 0, ctypes.get_errno()
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    return tun


def relay(one, other, options):
    """Packets wait in the order of the times at which they are due, those of one time in the order
    in which they came."""
    draw, lossy = random.Random(1).random, options.loss / 100
    delay, rate = options.delay / 1000, options.mbit and options.mbit * 1e6 / 8
    waiting, number, free_at = [], 0, {}
    while True:
        left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for tun in select.select([one, other], [], [], left)[0]:
            to = other if tun == one else one
            now = time.monotonic()
            try:
                # Packets that are due must not wait for a stream that never pauses.
                for _ in range(64):
                    packet = os.read(tun, 65536)
                    if lossy and draw() < lossy:
                        continue
                    due = now
                    if rate:
                        # Addresses and ports, of packets without IP options.
                        flow = packet[12:24]
                        due = max(now, free_at.get(flow, 0))
                        if due > now + QUEUE_SECONDS:
                            continue
                        due += len(packet) / rate
                        free_at[flow] = due
                    number += 1
                    heapq.heappush(waiting, (due + delay, number, to, packet))
            except BlockingIOError:
                pass
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            # A device that is not up yet loses its packets.
            with contextlib.suppress(OSError):
                os.write(to, packet)


if __name__ == "__main__":
    main()
