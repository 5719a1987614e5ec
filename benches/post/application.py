#!/usr/bin/env python3
"""The application of the post, under the two servers it compared.

usage: application.py SERVER MODE PORT CONCURRENCY

SERVER is gevent (gevent.pywsgi with spawn=CONCURRENCY) or paste (paste.httpserver with
threadpool_workers=CONCURRENCY). The application is the post's: one static page, a heading and ten
paragraphs, here byte for byte the page that uringstatic has built in.

MODE is as-posted, where everything that the post did not set is as the server has it, or tuned,
where whatever would measure something else than the server is set alike for all:

- the backlog is 4096 (Paste has 5 and gevent 128, so bursts of connections fail in the kernel);
- TCP_NODELAY is set (both write head and body apart, so on a connection that is kept alive each
  reply would wait some 40 ms for the client's delayed acknowledgement);
- gevent doesn't log every request (Paste doesn't log at all);
- Paste speaks HTTP/1.1, so that it keeps connections alive at all. Each then has a thread of its
  own for as long as it is open, and there are as many threads as connections.

Left as they are in both modes: a thread of Paste ends after 100 tasks and is replaced, and every
100 tasks Paste looks for threads that hang. That is how it is, and it costs.
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
    # Each server is imported only where it is used: the other's import would cost memory.
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
