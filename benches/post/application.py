#!/usr/bin/env python3
"""The application of the blog post, on the two servers that the post compared.

usage: application.py SERVER MODE PORT CONCURRENCY

SERVER is gevent (gevent.pywsgi with spawn=CONCURRENCY) or paste (paste.httpserver with
threadpool_workers=CONCURRENCY). The application serves one static page, a heading and ten
paragraphs; its bytes are those of the page built into uringstatic.

MODE is as-posted, with the servers' defaults for all settings that the post did not set, or tuned,
with these settings for both, so that the servers and not their defaults are compared:

- The backlog is 4096 (Paste has 5 and gevent 128, so bursts of connections fail in the kernel).
- TCP_NODELAY is set: both servers write head and body separately, so on persistent connections
  each response would wait about 40 ms for the client's delayed acknowledgement.
- gevent doesn't log every request (Paste has no log).
- Paste uses HTTP/1.1, without which it has no persistent connections. Each open connection then
  occupies a thread, and there are as many threads as connections.

In both modes Paste replaces each thread after 100 tasks, and searches for hung threads every 100
tasks, as it does by default.
"""

import os
import socket
import sys

BACKLOG = 4096
PAGE_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/site/page.html")

with open(PAGE_PATH, "rb") as file:
    PAGE = file.read()


def application(_environ, start_response):
    fields = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))]
    start_response("200 OK", fields)
    return [PAGE]


def serve_gevent(tuned, port, concurrency):
    # Imported here, as importing the other server would add to the measured memory.
    from gevent import pywsgi  # pylint: disable=import-outside-toplevel

    settings = {"backlog": BACKLOG, "log": None} if tuned else {}
    server = pywsgi.WSGIServer(("127.0.0.1", port), application, spawn=concurrency, **settings)
    server.start()
    if tuned:
        send_at_once(server.socket)
    server.serve_forever()


def serve_paste(tuned, port, concurrency):
    from paste import httpserver  # pylint: disable=import-outside-toplevel

    settings = {"request_queue_size": BACKLOG, "protocol_version": "HTTP/1.1"} if tuned else {}
    server = httpserver.serve(
        application,
        host="127.0.0.1",
        port=port,
        use_threadpool=True,
        threadpool_workers=concurrency,
        start_loop=False,
        **settings,
    )
    if tuned:
        send_at_once(server.socket)
    server.serve_forever()


def send_at_once(listener):
    """Sets TCP_NODELAY; on Linux accepted connections inherit it."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main():
    servers = {"gevent": serve_gevent, "paste": serve_paste}
    modes = {"as-posted": False, "tuned": True}
    try:
        server, mode, port, concurrency = sys.argv[1:]
        serve, tuned, port, concurrency = servers[server], modes[mode], int(port), int(concurrency)
    except (KeyError, ValueError):
        sys.exit(__doc__.split("\n\n", 2)[1])
    serve(tuned, port, concurrency)


if __name__ == "__main__":
    main()
