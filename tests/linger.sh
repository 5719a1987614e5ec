#!/usr/bin/env bash
# Checks that a client can read the last response although it still sends, on a network with delay:
# server and clients are in network namespaces of their own with 100 ms between them in each
# direction, and 4 MB follow each request (RFC 9112 9.6). Clients: curl, ab, Chromium if it is
# installed, and raw ones that read nothing before they have sent everything. Each check runs on both
# engines. Prints a line for each check and a summary; exits with 1 if a check failed. Has to be run
# by root, or by a user that may use sudo. Installs missing programs with apt-get.
#
# The delay is that of a veth pair with tc-netem(8), or, on a kernel without it, that of a relay
# between two TUN devices.
#
# usage: linger.sh [FOLDER]
#
# FOLDER has the program; without it, it is built. The namespaces live in network and mount
# namespaces of this script's own (unshare(1)), so they go with it, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

delay=100ms
upload_bytes=4194304

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    install_missing ip:iproute2 tc:iproute2 python3:python3 curl:curl ab:apache2-utils
    in_own_network "${1:-}"
}

inside() {
    program=$1/uringstatic
    work=$(mktemp -d)
    # Files are read as nobody, who may not enter what mktemp makes.
    chmod 755 "$work"
    trap end_all EXIT
    network
    make_site
    make_raw_client
    for engine in io_uring epoll; do
        ip netns exec server "$program" --engine "$engine" --root "$work/site" \
            --listen 10.98.0.1:80 2> "$work/$engine.err" &
        pids[$engine]=$!
        await "the server" grep -q ' ready on ' "$work/$engine.err"
        with_curl
        with_ab
        with_raw_clients
        with_chromium
        end "$engine"
        check "$engine: no connection was displaced or cut off" no_errors
    done
    summary
}

network() {
    mount -t tmpfs tmpfs /run
    ip netns add server
    ip netns add client
    ip netns exec server ip link set lo up
    ip netns exec client ip link set lo up
    if by_netem 2> "$work/netem.err"; then
        echo "-     the network: a veth pair with netem, $delay each way"
    else
        by_relay
        echo "-     the network: a relay, $delay each way ($(head -1 "$work/netem.err"))"
    fi
    check "the network: a round trip takes 200 ms" round_trip
}

by_netem() {
    ip link add wire netns server type veth peer name wire netns client
    address_wire
    local side
    for side in server client; do
        # The queue holds what is on its way; netem drops what is beyond.
        if ! tc -n "$side" qdisc add dev wire root netem delay "$delay" limit 20000; then
            ip -n server link delete wire
            return 1
        fi
    done
}

address_wire() {
    ip -n server address add 10.98.0.1/24 dev wire
    ip -n client address add 10.98.0.2/24 dev wire
    ip -n server link set wire up
    ip -n client link set wire up
}

by_relay() {
    tests/relay.py server client --delay "${delay%ms}" 2> "$work/relay.err" &
    pids[relay]=$!
    await "the relay" is_a_device client wire
    address_wire
    # A device has its queue for what the relay hasn't read yet.
    ip -n server link set wire txqueuelen 20000
    ip -n client link set wire txqueuelen 20000
}

is_a_device() {
    ip -n "$1" link show "$2" > "$work/device.txt"
}

round_trip() {
    client python3 - <<'END'
import socket, time

begun = time.monotonic()
try:
    socket.create_connection(("10.98.0.1", 9), timeout=10)
except ConnectionRefusedError:
    pass
assert time.monotonic() - begun >= 0.2, time.monotonic() - begun
END
}

make_site() {
    mkdir "$work/site"
    echo '<!doctype html><title>Upload</title><p>a page' > "$work/site/index.html"
    # A form that is posted into a frame, and a request of a script.
    cat > "$work/site/upload.html" <<'PAGE'
<!doctype html><title>Upload</title>
<p id=seen>nothing
<form method=post action=/form enctype=multipart/form-data target=answer>
<textarea name=text></textarea></form>
<iframe name=answer></iframe>
<script>
const seen = [];
function see(text) {
    seen.push(text);
    document.getElementById("seen").textContent = seen.sort().join(", ");
}
const text = "x".repeat(4194304);
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
    const place = frame.contentWindow.location.href;
    if (place === "about:blank") return;
    see("form " + (/\b405\b/.exec(frame.contentDocument.body.innerText) || ["without a response"])[0]);
});
document.querySelector("textarea").value = text;
document.querySelector("form").submit();
fetch("/script", { method: "POST", body: text })
    .then(response => see("script " + response.status))
    .catch(error => see("script " + error));
</script>
PAGE
    head -c "$upload_bytes" /dev/zero | tr '\0' x > "$work/upload"
}

client() {
    ip netns exec client "$@"
}

with_curl() {
    local upload=(--data-binary "@$work/upload")
    check "$engine: curl: 4 MB" status_is 405 -H 'Expect:' "${upload[@]}"
    check "$engine: curl: Expect: 100-continue" status_is 405 -H 'Expect: 100-continue' "${upload[@]}"
    check "$engine: curl: HTTP/1.0" status_is 405 --http1.0 -H 'Expect:' "${upload[@]}"
    check "$engine: curl: chunked" \
        status_is 405 -H 'Expect:' -H 'Transfer-Encoding: chunked' "${upload[@]}"
    check "$engine: curl: PUT of a file" status_is 405 -H 'Expect:' -T "$work/upload"
    check "$engine: curl: GET with 4 MB" status_is 200 -X GET -H 'Expect:' "${upload[@]}"
    check "$engine: curl: a length over 2^63-1" \
        status_is 400 -H 'Content-Length: 9223372036854775808' -X POST
    check "$engine: curl: a percent sign in a query" status_of_target 200 '/?utm_source=footer%'
    check "$engine: curl: a percent sign in a path" status_of_target 400 '/50%'
}

status_is() {
    status_of_target "$1" / "${@:2}"
}

status_of_target() {
    local expected=$1 target=$2 said
    said=$(client curl -sS --max-time 60 -o /dev/null -w '%{http_code}' "${@:3}" \
        "http://10.98.0.1$target") || { echo "exit status $?, status $said"; return 1; }
    echo "$said"
    [ "$said" = "$expected" ]
}

with_ab() {
    check "$engine: ab -p, HTTP/1.0" posts_by_ab
    check "$engine: ab -p -k" posts_by_ab -k
}

posts_by_ab() {
    # After a reset, ab may wait for ever.
    client timeout 60 ab "$@" -q -s 60 -n 6 -c 2 -p "$work/upload" -T text/plain http://10.98.0.1/ \
        > "$work/ab.txt" 2>&1 || { cat "$work/ab.txt"; return 1; }
    cat "$work/ab.txt"
    grep -q '^Complete requests: *6$' "$work/ab.txt"
    grep -q '^Failed requests: *0$' "$work/ab.txt"
    grep -q '^Non-2xx responses: *6$' "$work/ab.txt"
}

# Sends a request and 4 MB behind it, then reads the response to its end. A reset fails it.
make_raw_client() {
    cat > "$work/raw.py" <<'END'
import socket, sys

status, head, behind = sys.argv[1], sys.argv[2].encode().decode("unicode_escape"), sys.argv[3:]
connection = socket.create_connection(("10.98.0.1", 80), timeout=60)
rest = b"x" * 4194304
if behind == ["chunks"]:
    rest = (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 128
connection.sendall(head.encode("latin-1") + rest)
received = b""
while piece := connection.recv(65536):
    received += piece
first, _, fields = received.partition(b"\r\n")
assert first.startswith(f"HTTP/1.1 {status} ".encode()), first
length = next(line for line in fields.split(b"\r\n") if line.lower().startswith(b"content-length:"))
body = received.partition(b"\r\n\r\n")[2]
assert len(body) == int(length.split(b":")[1]), (len(body), length)
# The server has ended its side of the stream, and goes on dropping.
connection.sendall(rest)
END
}

with_raw_clients() {
    local host='Host: a\r\n'
    check "$engine: raw: a form" \
        raw 405 "POST / HTTP/1.1\r\n${host}Content-Length: 4194304\r\n\r\n"
    check "$engine: raw: HTTP/1.0" raw 405 'POST / HTTP/1.0\r\nContent-Length: 4194304\r\n\r\n'
    check "$engine: raw: chunks without end" \
        raw 405 "POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n" chunks
    check "$engine: raw: Expect: 100-continue" \
        raw 405 "PUT / HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 4194304\r\n\r\n"
    check "$engine: raw: bytes behind Connection: close" \
        raw 200 "GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n"
    check "$engine: raw: bytes behind a refused head" raw 400 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'
    check "$engine: raw: a length that none sends" \
        raw 405 "POST / HTTP/1.1\r\n${host}Content-Length: 9223372036854775807\r\n\r\n"
}

raw() {
    client python3 "$work/raw.py" "$@"
}

with_chromium() {
    if command -v chromium > /dev/null; then
        check "$engine: Chromium: a form and a script with 4 MB each" browser_sees_responses
    else
        echo "-     Chromium is not installed"
    fi
}

browser_sees_responses() {
    client timeout 120 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$work/profile" --virtual-time-budget=60000 --dump-dom \
        http://10.98.0.1/upload.html > "$work/dom" 2> "$work/console" || true
    sed -n 's/.*id="seen">\([^<]*\).*/\1/p' "$work/dom"
    grep -q 'id="seen">form 405, script 405' "$work/dom"
}

no_errors() {
    tail -1 "$work/$engine.err"
    tail -1 "$work/$engine.err" | grep -v 'displaced\|cut off'
}

main "$@"
