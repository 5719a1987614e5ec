#!/usr/bin/env bash
# Runs HAProxy, nginx and Caddy with the configurations of deploy/ in front of two servers: the access
# logs have the addresses of clients, health checks see what they should, and no request fails while one
# server is restarted and the other one reloaded. Prints a line for each check and a summary; exits with
# 1 if a check failed. Has to be run by root, or by a user that may use sudo. Installs missing programs
# with apt-get.
#
# usage: proxies.sh [FOLDER]
#
# FOLDER has the programs; without it, they are built. Everything runs in network and mount namespaces
# of this script's own (unshare(1)), where the ports and paths of the configurations are free.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    install_missing ip:iproute2 curl:curl haproxy:haproxy nginx:nginx-light caddy:caddy \
        python3:python3
    if [ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ]; then
        install_missing no-such-program:libnginx-mod-stream
    fi
    in_own_network "${1:-}"
}

inside() {
    program=$1/uringstatic
    load=$1/uringload
    work=$(mktemp -d)
    # Files are read as nobody, who may not enter what mktemp makes.
    chmod 755 "$work"
    trap end_all EXIT
    PATH=$PATH:/usr/sbin
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/log
    mkdir -p /run/uringstatic /var/log/nginx "$work/www"
    ip link set lo up
    # The client's address, which every program takes for that of another machine.
    ip address add "$client4/32" dev lo
    printf '<!doctype html><title>site</title>\n' > "$work/www/index.html"
    head -c 300000 /dev/urandom > "$work/www/large.bin"

    behind_haproxy
    behind_nginx
    behind_caddy
    summary
}

client4=192.0.2.7

# Starts a server behind HAProxy and Caddy: `one` has the ports 9001, 9101 and 9201, `two` the next.
start_by_ports() {
    local name=$1 number=$2
    shift 2
    start "$name" --root "$work/www" --listen "127.0.0.1:900$number" \
        --listen "127.0.0.1:910$number,proxy" --health-listen "127.0.0.1:920$number" \
        --drain-delay 3s --access-log "$work/$name.log" --trusted-proxies 127.0.0.1 "$@"
}

start_by_sockets() {
    local name=$1
    start "$name" --root "$work/www" --listen "unix:/run/uringstatic/$name.sock" \
        --listen "unix:/run/uringstatic/$name-proxy.sock,proxy" --socket-mode 0660 \
        --socket-group www-data --access-log "$work/$name.log" --trusted-proxies unix:
}

behind_haproxy() {
    start_by_ports one 1
    start_by_ports two 2 --engine epoll
    # HAProxy reads both files as one; the second one has what only this script needs.
    printf 'global\n    stats socket %s/haproxy.sock\n' "$work" > "$work/haproxy-more.cfg"
    haproxy -db -f deploy/haproxy/haproxy.cfg -f "$work/haproxy-more.cfg" \
        > "$work/haproxy.log" 2>&1 &
    pids[haproxy]=$!
    await "HAProxy" curl -sf -o "$work/body" http://127.0.0.1:8082/
    logs_clients "HAProxy, requests" "$client4" http://127.0.0.1:8080
    logs_clients "HAProxy, connections" "$client4" http://127.0.0.1:8081
    logs_clients "HAProxy, requests with a PROXY header" "$client4" http://127.0.0.1:8082
    check "HAProxy: a made-up X-Forwarded-For isn't logged" ignores_made_up http://127.0.0.1:8080
    check "HAProxy: a large file, byte-exact" same_file http://127.0.0.1:8082
    check "HAProxy: few connections carry many requests" reuses_connections
    through_changes "HAProxy, requests" start_by_ports -c 32 http://127.0.0.1:8080/
    check "HAProxy: the HTTP check sees the lame duck" \
        grep 'requests/one is DOWN, reason: Layer7 wrong status, code: 503' "$work/haproxy.log"
    check "HAProxy: the HTTP check sees the new server" \
        grep 'requests/one is UP, reason: Layer7 check passed' "$work/haproxy.log"
    check "HAProxy: the TCP check with a header succeeds" \
        haproxy_says 'L4OK UP' requests-with-header one check_status status
    through_changes "HAProxy, connections" start_by_ports -c 16 --close http://127.0.0.1:8081/
    through_changes "HAProxy, requests with a PROXY header" start_by_ports -c 32 \
        http://127.0.0.1:8082/
    kill -TERM "${pids[haproxy]}"
    wait "${pids[haproxy]}" || true
    unset "pids[haproxy]"
    end_both
}

behind_nginx() {
    start_by_sockets one
    start_by_sockets two
    nginx -c "$PWD/deploy/nginx/uringstatic.conf" -g 'daemon off;' 2> "$work/nginx.err" &
    pids[nginx]=$!
    await "nginx" curl -sf -o "$work/body" http://127.0.0.1:8080/
    logs_clients "nginx, requests" "$client4" http://127.0.0.1:8080
    logs_clients "nginx, connections" "$client4" http://127.0.0.1:8081
    check "nginx: a made-up X-Forwarded-For isn't logged" ignores_made_up http://127.0.0.1:8080
    check "nginx: a large file, byte-exact" same_file http://127.0.0.1:8081
    through_changes "nginx, requests" start_by_sockets -c 32 http://127.0.0.1:8080/
    kill -TERM "${pids[nginx]}"
    wait "${pids[nginx]}" || true
    unset "pids[nginx]"
    end_both
}

behind_caddy() {
    start_by_ports one 1
    start_by_ports two 2
    HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config \
        caddy run --config deploy/caddy/Caddyfile --adapter caddyfile 2> "$work/caddy.log" &
    pids[caddy]=$!
    local authority=$work/data/caddy/pki/authorities/local/root.crt
    of_site=(--cacert "$authority" --resolve site.example:8443:127.0.0.1)
    await "Caddy" curl -sf "${of_site[@]}" -o "$work/body" https://site.example:8443/
    logs_clients "Caddy" "$client4" https://site.example:8443 "${of_site[@]}"
    check "Caddy: HTTP/2" speaks_http2
    check "Caddy: a made-up X-Forwarded-For isn't logged" ignores_made_up \
        https://site.example:8443 "${of_site[@]}"
    check "Caddy: a large file, byte-exact" same_file https://site.example:8443 "${of_site[@]}"
    echo "127.0.0.1 site.example" > "$work/hosts"
    mount --bind "$work/hosts" /etc/hosts
    through_changes "Caddy" start_by_ports -c 16 --cacert "$authority" https://site.example:8443/
    kill -TERM "${pids[caddy]}"
    wait "${pids[caddy]}" || true
    unset "pids[caddy]"
    end_both
}

# Requests from a client's own address are logged with it, by whichever server they reach.
logs_clients() {
    local proxy=$1 client=$2 url=$3
    shift 3
    local path="/from-${RANDOM}-client"
    for _ in 1 2 3; do
        curl -s --interface "$client" -o "$work/body" "$@" "$url$path" || true
    done
    check "$proxy: the address of the client is logged" eventually lines_of "$path" "$client" 3
}

# Whether the logs have so many lines of a path, all of them of this client.
lines_of() {
    local path=$1 client=$2 count=$3
    [ "$(grep -h "\"GET $path " "$work"/{one,two}.log | grep -c "^$client ")" -eq "$count" ] &&
        [ "$(grep -hc "\"GET $path " <(cat "$work"/{one,two}.log))" -eq "$count" ]
}

eventually() {
    for _ in $(seq 100); do
        if "$@"; then return; fi
        sleep 0.05
    done
    tail -n 3 "$work"/{one,two}.log
    return 1
}

ignores_made_up() {
    local url=$1 path="/made-up-$RANDOM"
    shift
    curl -s --interface "$client4" -H 'X-Forwarded-For: 203.0.113.9' \
        -H 'Forwarded: for=203.0.113.9' -o "$work/body" "$@" "$url$path"
    eventually lines_of "$path" "$client4" 1
}

same_file() {
    curl -sf "${@:2}" "$1/large.bin" | cmp - "$work/www/large.bin"
}

speaks_http2() {
    [ "$(curl -s "${of_site[@]}" -o /dev/null -w '%{http_version}' https://site.example:8443/)" = 2 ]
}

# The requests of connections that each make a single one go over the connections of others.
reuses_connections() {
    local before after
    read -r -a before < <(statistics requests BACKEND connect reuse)
    "$load" --quiet -c 16 -n 2000 --close http://127.0.0.1:8080/
    read -r -a after < <(statistics requests BACKEND connect reuse)
    local opened=$((after[0] - before[0])) reused=$((after[1] - before[1]))
    echo "$opened connections opened, $reused requests on open ones"
    [ $((opened + reused)) -eq 2000 ] && [ "$opened" -le 100 ]
}

haproxy_says() {
    local expected=$1
    shift
    [ "$(statistics "$@")" = "$expected" ]
}

# Values of a server's or a backend's line in HAProxy's statistics.
statistics() {
    python3 - "$work/haproxy.sock" "$@" <<'PYTHON'
import csv, socket, sys
path, backend, server, *names = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as client:
    client.connect(path)
    client.sendall(b"show stat\n")
    text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
for row in csv.DictReader(text.lstrip("# ").splitlines()):
    if row["pxname"] == backend and row["svname"] == server:
        print(*(row[name] for name in names))
PYTHON
}

# No request fails while one server is restarted, after a lame-duck time, and the other is reloaded.
through_changes() {
    local name=$1 starter=$2 code=0
    shift 2
    "$load" -d 12s "$@" > "$work/load.txt" 2>&1 &
    local loading=$!
    sleep 1
    restart "$starter" one
    local reloads
    reloads=$(grep -c ' reloaded: ' "$work/two.err" || true)
    kill -HUP "${pids[two]}"
    await "the new generation" has_reloaded $((reloads + 1))
    wait "$loading" || code=$?
    check "$name: 0 requests failed while a server was restarted and one reloaded" \
        loaded_well "$code"
}

has_reloaded() {
    [ "$(grep -c ' reloaded: ' "$work/two.err")" -eq "$1" ]
}

loaded_well() {
    cat "$work/load.txt"
    [ "$1" -eq 0 ] && grep -q '^failed  *0$' "$work/load.txt"
}

restart() {
    local starter=$1 name=$2
    kill -TERM "${pids[$name]}"
    wait "${pids[$name]}"
    if [ "$starter" = start_by_ports ]; then
        start_by_ports "$name" 1
    else
        start_by_sockets "$name"
    fi
}

# Ends both servers, whose checks and loads have caused no errors.
end_both() {
    local name
    for name in one two; do
        end "$name"
        check "$name: no connection came without a PROXY header, and no request was refused" \
            no_errors "$name"
    done
}

no_errors() {
    tail -n 1 "$work/$1.err"
    ! tail -n 1 "$work/$1.err" | grep -q 'PROXY header\|refused'
}

main "$@"
