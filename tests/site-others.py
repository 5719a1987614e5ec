#!/usr/bin/env python3
"""Serves one site by this server, nginx and Caddy, and compares the responses with a table.

usage: site-others.py PROGRAM

The rules of the site are written for each server as its documentation does it. A row of the table
has the response that is right, with the authority, and what another server does instead, if that
differs. Any other response fails, of any of the servers: so the table stays true. PROGRAM is
uringstatic. Needs nginx and Caddy 2; all sockets are files.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HEADERS = """\
/*
  X-Site: yes
/login
  X-Frame-Options: DENY
/app/*
  X-Frame-Options: SAMEORIGIN
/fonts/*
  Access-Control-Allow-Origin: *
/secret
  Basic-Auth: user:secret
"""

REDIRECTS = """\
/app/*    /app.html  200
/old/:id  /new/:id   302
/a        /b         302
/b        /a         302
/tel/*    /tel/:splat
"""

NGINX = """\
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log /dev/null crit; {user}
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p;
 fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
 include /etc/nginx/mime.types; charset utf-8; absolute_redirect off;
 server {{ listen unix:{work}/nginx.sock; root {site}; index index.html; error_page 404 /404.html;
  add_header X-Site yes always;
  location / {{ try_files $uri $uri.html $uri/ =404; }}
  location = /login {{ add_header X-Site yes always; add_header X-Frame-Options DENY always;
   try_files /login.html =404; }}
  location /app/ {{ add_header X-Site yes always; add_header X-Frame-Options SAMEORIGIN always;
   try_files $uri /app.html; }}
  location /fonts/ {{ add_header X-Site yes always; add_header Access-Control-Allow-Origin * always; }}
  location = /secret {{ auth_basic secret; auth_basic_user_file {work}/users;
   try_files /secret.html =404; }}
  location ~ ^/old/([^/]+)$ {{ return 302 /new/$1; }}
  location = /a {{ return 302 /b; }}
  location = /b {{ return 302 /a; }}
  location ~ ^/tel/(.*)$ {{ return 301 /tel/$1; }}
 }} }}
"""

CADDY = """\
{{
    admin off
    auto_https off
}}
http:// {{
    bind unix/{work}/caddy.sock
    root * {site}
    header X-Site yes
    header /login X-Frame-Options DENY
    header /app/* X-Frame-Options SAMEORIGIN
    header /fonts/* Access-Control-Allow-Origin *
    basicauth /secret* {{
        user {hash}
    }}
    @old path_regexp old ^/old/([^/]+)$
    redir @old /new/{{re.old.1}} 302
    redir /a /b 302
    redir /b /a 302
    @tel path_regexp tel ^/tel/(.*)$
    redir @tel /tel/{{re.tel.1}} 301
    @app path /app/*
    rewrite @app /app.html
    try_files {{path}} {{path}}.html
    file_server
    handle_errors {{
        rewrite * /404.html
        file_server
    }}
}}
"""

FILES = {
    "index.html": b"<!doctype html><title>home</title>",
    "login.html": b"<!doctype html><title>login</title>",
    "secret.html": b"<!doctype html><title>secret</title>",
    "app.html": b"<!doctype html><title>app</title>",
    "404.html": b"<!doctype html><title>missing</title>",
    "blog/index.html": b"<!doctype html><title>blog</title>",
    "blog/404.html": b"<!doctype html><title>missing in the blog</title>",
    "fonts/a.woff2": b"wOF2" + bytes(40),
    "module.mjs": b"export default 1;\n",
    "module.cjs": b"module.exports = 1;\n",
    "app.webmanifest": b"{}",
    "picture.avif": bytes(range(64)),
    "empty.txt": b"",
    "LICENSE": b"Permission is hereby granted.\n",
    "apple-app-site-association": b'{"applinks": {}}',
    "latin1.html": "<!doctype html><meta charset=iso-8859-1><title>Gr\u00fc\u00dfe</title>".encode("latin-1"),
}

BASIC = "Authorization: Basic dXNlcjpzZWNyZXQ="
CORS = ["Origin: https://x.example", "Access-Control-Request-Method: GET"]

# Request (method, target, fields), the right response (status and fields; None: the field is absent),
# the authority, and the responses of nginx and Caddy where they differ.
TABLE = [
    ("GET", "/login", [], (200, {"x-frame-options": "DENY", "x-site": "yes"}), "Netlify, custom headers", {}),
    ("GET", "/login.html", [], (200, {"x-frame-options": "DENY"}), "Cloudflare, serving pages: one page, two paths",
     {"nginx": (200, {"x-frame-options": None}), "caddy": (200, {"x-frame-options": None})}),
    ("GET", "/app/x/y", [], (200, {"x-frame-options": "SAMEORIGIN"}), "Cloudflare, redirects: rules see the requested path",
     # An internal redirect: the location of /app.html applies.
     {"nginx": (200, {"x-frame-options": None})}),
    ("GET", "/none", [], (404, {"x-site": "yes"}), "RFC 6797 7.2", {}),
    ("GET", "/blog/none", [], (404, {"content-length": str(len(FILES["blog/404.html"]))}), "Cloudflare, serving pages: the nearest 404.html",
     {"nginx": (404, {"content-length": str(len(FILES["404.html"]))}), "caddy": (404, {"content-length": str(len(FILES["404.html"]))})}),
    ("GET", "/secret", [], (401, {"x-site": "yes"}), "RFC 9110 11.6.1", {}),
    ("GET", "/secret", [BASIC], (200, {}), "RFC 7617 2", {}),
    ("HEAD", "/secret", ["Range: bytes=0-3"], (401, {}), "RFC 9110 11.6.1", {}),
    ("GET", "/secret", ["Authorization: Basic dXNlcjpzZWNyZXU="], (401, {}), "RFC 9110 11.6.1", {}),
    ("GET", "/secret.html", [], (401, {}), "the file is protected, not one of its paths",
     {"nginx": (200, {})}),
    ("GET", "/old/7", [], (302, {"location": "/new/7", "x-site": "yes"}), "Netlify, redirects: placeholders", {}),
    ("GET", "/a", [], (404, {"location": None}), "RFC 9110 15.4: a redirect in a circle is not sent",
     {"nginx": (302, {"location": "/b"}), "caddy": (302, {"location": "/b"})}),
    ("GET", "/tel/1", [], (404, {"location": None}), "RFC 9110 15.4",
     {"nginx": (301, {"location": "/tel/1"}), "caddy": (301, {"location": "/tel/1"})}),
    ("GET", "/blog", [], (308, {"location": "blog/", "x-site": "yes"}), "RFC 3986 4.2: relative, so that a prefix of a proxy stays",
     {"nginx": (301, {"location": "/blog/"}), "caddy": (308, {"location": "/blog/"})}),
    ("OPTIONS", "/fonts/a.woff2", CORS, (204, {"access-control-allow-origin": "*"}), "Fetch, CORS-preflight",
     {"nginx": (405, {"access-control-allow-origin": "*"}), "caddy": (200, {"access-control-allow-origin": "*"})}),
    ("GET", "/fonts/a.woff2", [], (200, {"content-type": "font/woff2", "access-control-allow-origin": "*"}), "RFC 8081 4.4.6", {}),
    ("GET", "/module.mjs", [], (200, {"content-type": "text/javascript; charset=utf-8"}), "RFC 9239 6",
     {"nginx": (200, {"content-type": "text/plain; charset=utf-8"})}),
    ("GET", "/app.webmanifest", [], (200, {"content-type": "application/manifest+json; charset=utf-8"}), "IANA",
     # nginx takes its default type, text/plain; Go has no type for it.
     {"nginx": (200, {"content-type": "text/plain; charset=utf-8"}), "caddy": (200, {"content-type": None})}),
    ("GET", "/picture.avif", [], (200, {"content-type": "image/avif"}), "IANA", {}),
    ("GET", "/LICENSE", [], (200, {"content-type": "text/plain; charset=utf-8"}), "its content",
     {"caddy": (200, {"content-type": None})}),
    ("GET", "/apple-app-site-association", [], (200, {"content-type": "application/json"}), "Apple, associated domains",
     {"nginx": (200, {"content-type": "text/plain; charset=utf-8"}), "caddy": (200, {"content-type": None})}),
    ("GET", "/latin1.html", [], (200, {"content-type": "text/html"}), "HTML, determining the encoding: the transport wins",
     {"nginx": (200, {"content-type": "text/html; charset=utf-8"}), "caddy": (200, {"content-type": "text/html; charset=utf-8"})}),
    ("GET", "/empty.txt", ["Range: bytes=-1"], (200, {"content-length": "0"}), "RFC 9110 14.1.2",
     {"caddy": (206, {"content-length": "0"})}),
    ("GET", "/?utm_source=footer%", [], (200, {}), "WHATWG URL, query state", {}),
    ("GET", "/a%zz", [], (400, {}), "RFC 3986 2.1", {}),
    ("POST", "/login", ["Content-Length: 9223372036854775808"], (400, {}), "RFC 9110 8.6", {}),
    ("POST", "/login", ["Content-Length: 0"], (405, {"x-site": "yes"}), "RFC 6797 7.2",
     # Its file server answers every method like GET.
     {"caddy": (200, {"x-site": "yes"})}),
]


def ask(path, method, target, fields):
    """Status and fields (names in lower case) of the response."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(path)
        lines = [f"{method} {target} HTTP/1.1", "Host: a.example", "Connection: close", *fields, "", ""]
        peer.sendall("\r\n".join(lines).encode())
        response = b""
        while b"\r\n\r\n" not in response:
            more = peer.recv(65536)
            if not more:
                raise EOFError(f"{method} {target}: the connection ended after {response!r}")
            response += more
    first, *rest = response.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in rest)
    return int(first.split()[1]), {name.lower(): value.strip() for name, value in pairs}


def make_site(site):
    for name, content in FILES.items():
        os.makedirs(os.path.dirname(os.path.join(site, name)), exist_ok=True)
        with open(os.path.join(site, name), "wb") as file:
            file.write(content)
    # One time for all files would give none of them a Last-Modified.
    os.utime(os.path.join(site, "index.html"), (1_700_000_000, 1_700_000_000))


@contextlib.contextmanager
def served(words, path, environment=None):
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as peer:
                peer.connect(path)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                sys.exit(f"{words[0]} doesn't serve: {process.stderr.read().decode()}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(20)


def matches(found, expected):
    status, fields = expected
    return found[0] == status and all(found[1].get(name) == value for name, value in fields.items())


def main():
    program = sys.argv[1]
    path = os.environ["PATH"] + ":/usr/sbin"
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        # Servers that root starts read the files as another user.
        os.chmod(work, 0o755)
        site = os.path.join(work, "site")
        make_site(site)
        ours = os.path.join(work, "ours")
        shutil.copytree(site, ours)
        for name, text in [("_headers", HEADERS), ("_redirects", REDIRECTS)]:
            with open(os.path.join(ours, name), "w") as file:
                file.write(text)
        with open(os.path.join(work, "users"), "w") as file:
            file.write("user:{PLAIN}secret\n")
        caddy = shutil.which("caddy", path=path)
        words = [caddy, "hash-password", "--plaintext", "secret"]
        digest = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        user = "user root;" if os.getuid() == 0 else ""
        for name, text in [("nginx.conf", NGINX), ("Caddyfile", CADDY)]:
            with open(os.path.join(work, name), "w") as file:
                file.write(text.format(work=work, site=site, hash=digest, user=user))
        sockets = {name: os.path.join(work, name + ".sock") for name in ("uringstatic", "nginx", "caddy")}
        home = {"HOME": work, "PATH": path}
        start = [program, "--listen", "unix:" + sockets["uringstatic"], "--root", ours, "--quiet"]
        nginx = [shutil.which("nginx", path=path), "-c", os.path.join(work, "nginx.conf")]
        stack.enter_context(served(start, sockets["uringstatic"]))
        stack.enter_context(served(nginx, sockets["nginx"]))
        run = [caddy, "run", "--config", os.path.join(work, "Caddyfile"), "--adapter", "caddyfile"]
        stack.enter_context(served(run, sockets["caddy"], home))
        wrong = 0
        for method, target, fields, right, authority, others in TABLE:
            for name, socket_path in sockets.items():
                expected = others.get(name, right)
                found = ask(socket_path, method, target, fields)
                if not matches(found, expected):
                    wrong += 1
                    shown = {key: found[1].get(key) for key in expected[1]}
                    print(f"FAIL  {name}: {method} {target} {fields}: {found[0]} {shown}, "
                          f"and not {expected} ({authority})")
        print(f"{len(TABLE)} requests to {len(sockets)} servers, {wrong} wrong responses")
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
