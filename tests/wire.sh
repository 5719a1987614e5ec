#!/usr/bin/env bash
# Counts the segments of connections that end with their first response, in a network namespace of
# this script's own: on io_uring a response of one segment carries the end of the stream; nothing
# is reset, and no byte waits for a timer. Checks the page, files of several sizes, HEAD, clients
# that have ended their side, a response that its socket can't hold, and a Unix socket, on both
# engines. Prints a line for each check and a summary; exits with 1 if a check failed. Has to be run
# by root, or by a user that may use sudo. Installs missing programs with apt-get.
#
# usage: wire.sh [FOLDER]
#
# FOLDER has the program; without it, it is built.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

connections=10

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    install_missing ip:iproute2 python3:python3 tcpdump:tcpdump
    in_own_network "${1:-}"
}

inside() {
    program=$1/uringstatic
    work=$(mktemp -d)
    # Files are read as nobody, who may not enter what mktemp makes.
    chmod 755 "$work"
    trap end_all EXIT
    ip link set lo up
    make_site
    make_client
    local engine segments
    for engine in io_uring epoll; do
        # An epoll engine sends and closes by two system calls, each with a segment.
        segments=9
        [ "$engine" = io_uring ] || segments=10
        start "$engine" --engine "$engine" --root "$work/site" --compress off \
            --listen 127.0.0.1:80 --listen "unix:$work/$engine.sock"
        segment "a small file" GET /small.html --segments "$segments"
        segment "a missing file" GET /missing
        segment "HEAD" HEAD /100k.bin
        segment "a client that has ended its side" GET /small.html --half
        stream "a file of 100 KB" GET /100k.bin
        stream "a file of 1 MB" GET /1m.bin
        stream "a file of 40 MB, read late" GET /40m.bin --late
        stream "a file of 1 MB, for a client that has ended its side" GET /1m.bin --half
        stream "a Unix socket" GET /1m.bin --address "$work/$engine.sock"
        end "$engine"

        start "$engine" --engine "$engine" --listen 127.0.0.1:80
        segment "the page" GET / --segments "$segments"
        end "$engine"
    done
    summary
}

make_site() {
    mkdir "$work/site"
    part_of /dev/zero 0 5000 > "$work/site/small.html"
    part_of /dev/urandom 0 100000 > "$work/site/100k.bin"
    part_of /dev/urandom 0 1000000 > "$work/site/1m.bin"
    # More than the buffers of both sockets can hold (tcp(7), tcp_wmem and tcp_rmem).
    part_of /dev/urandom 0 40000000 > "$work/site/40m.bin"
}

# Makes connections one after the other, each with one request.
make_client() {
    cat > "$work/client.py" <<'END_OF_CLIENT'
import argparse, socket, time

parser = argparse.ArgumentParser()
parser.add_argument("method")
parser.add_argument("target")
parser.add_argument("--address", default="127.0.0.1:80")
parser.add_argument("--count", type=int)
parser.add_argument("--segments", type=int)
parser.add_argument("--half", action="store_true")
parser.add_argument("--late", action="store_true")
options = parser.parse_args()


def tcp():
    """The counts of TCP of this namespace, by name."""
    lines = open("/proc/net/snmp").read().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("Tcp:"))
    return dict(zip(names, map(int, values)))


def connect():
    host, _, port = options.address.partition(":")
    if port:
        return socket.create_connection((host, int(port)), timeout=60)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(host)
    return connection


def await_full_socket(port):
    """Waits until the client's socket is full, so that bytes wait in the server's."""
    end, to = time.monotonic() + 60, f"0100007F:{port:04X}"
    while time.monotonic() < end:
        for line in open("/proc/net/tcp"):
            words = line.split()
            if words[2] == to and int(words[4].partition(":")[0], 16) > 0:
                return
        time.sleep(0.005)
    raise AssertionError("the server's socket did not fill")


def respond():
    """Requests once and reads to the end. Returns the longest time without bytes."""
    request = f"{options.method} {options.target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with connect() as connection:
        connection.sendall(request.encode())
        if options.half:
            connection.shutdown(socket.SHUT_WR)
        if options.late:
            await_full_socket(connection.getsockname()[1])
        received, longest, last = [], 0, time.monotonic()
        while piece := connection.recv(1 << 20):
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            received.append(piece)
        longest = max(longest, time.monotonic() - last)
    head, _, body = b"".join(received).partition(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")
    length = next(line for line in fields if line.startswith(b"content-length:"))
    expected = 0 if options.method == "HEAD" else int(length.split(b":")[1])
    assert len(body) == expected, f"{len(body)} bytes of {expected}"
    return longest


before = tcp()
longest = [respond() for _ in range(options.count)]
after = tcp()
sent = after["OutSegs"] - before["OutSegs"]
pause = min(longest) * 1000
print(f"{sent / options.count} segments a connection, no byte for {pause:.1f} ms at most")
assert after["OutRsts"] == before["OutRsts"], "a connection was reset"
assert options.segments is None or sent == options.segments * options.count, sent
# The probe timer, which sends bytes that wait for more, takes 200 ms. A busy machine may take as
# long now and then, but not each time.
assert pause < 150, "bytes waited for a timer"
END_OF_CLIENT
}

# A response of one segment: looks at the segments that end the server's side.
segment() {
    local name=$1
    shift
    if [ "$engine" = epoll ]; then
        stream "$name" "$@"
        return
    fi
    tcpdump -i lo -n -U --immediate-mode -s 96 -Z root -w "$work/capture" \
        'src port 80 and tcp[tcpflags] & tcp-fin != 0' 2> "$work/tcpdump.err" &
    pids[tcpdump]=$!
    await "tcpdump" grep -q 'listening on' "$work/tcpdump.err"
    stream "$name" "$@"
    await "the segments of $name" all_captured
    kill "${pids[tcpdump]}"
    wait "${pids[tcpdump]}" || true
    unset 'pids[tcpdump]'
    check "$engine: $name: the bytes carry the end" ends_on_bytes
}

# A response of any length.
stream() {
    local name=$1
    shift
    check "$engine: $name" python3 "$work/client.py" "$@" --count "$connections"
}

ends() {
    tcpdump -r "$work/capture" -n 2> "$work/read.err"
}

all_captured() {
    [ "$(ends | wc -l)" -ge "$connections" ]
}

ends_on_bytes() {
    # The number of bytes comes last.
    echo "$(ends | grep -c 'length 0$') of $(ends | wc -l) ends without bytes"
    ! ends | grep -q 'length 0$'
}

main "$@"
