#!/usr/bin/env bash
# Checks the server with independent programs: curl, ab, wrk, nginx and strace; and the load client
# over TLS with nginx and OpenSSL, and its PROXY headers with nginx and HAProxy. Prints a line per
# check and a summary; exits with 1 if a check failed. Installs missing programs with apt-get.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

main() {
    install_missing curl:curl ab:apache2-utils wrk:wrk nginx:nginx-light strace:strace \
        openssl:openssl haproxy:haproxy
    prepare
    # Every connection is a descriptor of ab and one of the server.
    ulimit -n "$(ulimit -Hn)" || true
    page=src/site/page.html

    start plain --listen 127.0.0.1:0 --listen "unix:$work/socket"
    with_curl
    with_ab
    with_wrk
    end plain
    start file --listen 127.0.0.1:0 --page "$page"
    with_curl_on_a_file
    end file
    against_nginx
    load_over_tls
    load_with_proxy_headers
    under_strace

    summary
}

with_curl() {
    check "curl: HTTP/1.1, byte-exact" same_page --http1.1
    check "curl: HTTP/1.0, byte-exact" same_page --http1.0
    check "curl: --compressed, byte-exact" same_page --compressed
    check "curl: HEAD" curl_says 'HTTP/1.1 200 OK' --head
    check "curl: HEAD has the length" curl_says "Content-Length: $(wc -c < "$page")" --head
    check "curl: keep-alive over 1.1" reuses_connection --http1.1
    check "curl: keep-alive over 1.0" reuses_connection --http1.0 -H 'Connection: keep-alive'
    check "curl: POST is refused" status_is 405 --data x=y
    check "curl: a large upload is refused" status_is 405 --data-binary "@$program"
    check "curl: OPTIONS" status_is 204 -X OPTIONS
    check "curl: chunked upload" status_is 405 -H 'Transfer-Encoding: chunked' --data x=y
    check "curl: unix socket, byte-exact" same_page --unix-socket "$work/socket"
    check "curl: --range" same_part 10-99 10 90
    check "curl: --range, the end" same_part -100 -100 100
    check "curl: an unsatisfiable range" status_is 416 --range 1000000-
    check "curl: ETag matches" not_modified_by_etag
}

with_curl_on_a_file() {
    check "curl: a file, byte-exact" same_page
    check "curl: -z with the file's own time" status_is 304 -z "$page"
    check "curl: -z with an old date" status_is 200 -z '1 Jan 2000'
    check "curl: --continue-at" continues
}

with_ab() {
    check "ab -c 100 -n 20000" ab_is_clean 20000 -c 100
    check "ab -k -c 100 -n 20000" ab_is_clean 20000 -c 100 -k
    check "ab -c 1000 -n 20000" ab_is_clean 20000 -c 1000
    check "ab -k -c 1000 -n 20000" ab_is_clean 20000 -c 1000 -k
    check "ab -i (HEAD)" ab_is_clean 5000 -c 50 -i
}

with_wrk() {
    check "wrk: 64 connections" wrk_is_clean -c 64
    check "wrk: 512 connections" wrk_is_clean -c 512
    printf '%s\n' \
        'init = function() local r = {} for i = 1, 16 do r[i] = wrk.format("GET", "/") end' \
        'batch = table.concat(r) end' \
        'request = function() return batch end' > "$work/pipeline.lua"
    check "wrk: 64 connections, 16 in a pipeline" wrk_is_clean -c 64 -s "$work/pipeline.lua"
}

# nginx and this server give the same status for the same requests and the same file. Two cases are
# left out, as both behaviours conform: bytes=9-0 (416 in nginx, ignored here as invalid syntax, RFC
# 9110 section 14.2) and unknown expectations (ignored by nginx, 417 here).
against_nginx() {
    mkdir -p "$work/www"
    cp "$page" "$work/www/page.html"
    # The worker of nginx isn't root.
    chmod 755 "$work" "$work/www"
    cat > "$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log /dev/null crit;
events { worker_connections 64; }
http { access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p;
 fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
 default_type "text/html; charset=utf-8"; root $work/www;
 server { listen unix:$work/nginx.sock; location / { try_files /page.html =404; } } }
CONF
    PATH=$PATH:/usr/sbin nginx -c "$work/nginx.conf" 2> "$work/nginx.err" &
    pids[nginx]=$!
    await "nginx" test -S "$work/nginx.sock"
    start file --listen "unix:$work/socket2" --page "$work/www/page.html"
    local modified
    modified=$(curl -sI --unix-socket "$work/nginx.sock" http://a/ | tr -d '\r' |
        sed -n 's/^Last-Modified: //p')
    for question in "Accept: */*" "Range: bytes=0-9" "Range: bytes=-1" "Range: bytes=999999-" \
        "Range: lines=0-9" "If-Modified-Since: $modified" \
        "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT" "If-None-Match: *" \
        'If-None-Match: "other"' 'If-Match: "other"' \
        "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT" \
        "Transfer-Encoding: gzip" "Content-Length: abc" "Host: a/b" "Host:"; do
        check "like nginx: $question" same_status "$question"
    done
    end file
    end nginx
}

# The load client over TLS, against nginx as a server of files and as a proxy of this server, and
# against OpenSSL's own server. Each has the port of this server on a loopback address of its own.
load_over_tls() {
    start proxied --listen 127.0.0.1:0 --page "$page"
    local port=${url##*:}
    port=${port%/}
    load=$(dirname "$program")/uringload
    certificates
    mkdir -p "$work/www"
    chmod 755 "$work" "$work/www"
    cp "$page" "$work/www/page.html"
    head -c 3000000 /dev/urandom > "$work/www/long.html"
    chmod -R a+rX "$work/www"
    cat > "$work/tls.conf" <<CONF
daemon off; worker_processes 1; pid $work/tls.pid; error_log $work/tls.log;
events { worker_connections 512; }
http { client_body_temp_path $work/b; proxy_temp_path $work/p;
 fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
 log_format tls '\$connection \$ssl_protocol \$ssl_session_reused \$ssl_server_name \$status';
 access_log $work/access.log tls;
 ssl_session_cache shared:a:1m; ssl_session_tickets on;
 default_type "text/html; charset=utf-8"; root $work/www;
 server { listen 127.0.0.2:$port ssl; ssl_protocols TLSv1.3;
  ssl_certificate $work/ec.pem; ssl_certificate_key $work/ec.key; }
 server { listen 127.0.0.3:$port ssl; ssl_protocols TLSv1.2;
  ssl_certificate $work/rsa.pem; ssl_certificate_key $work/rsa.key;
  location / { proxy_pass http://127.0.0.1:$port; } } }
CONF
    PATH=$PATH:/usr/sbin nginx -c "$work/tls.conf" 2> "$work/tls.err" &
    pids[tls]=$!
    await "nginx with TLS" test -s "$work/tls.pid"
    local files=https://127.0.0.2:$port/page.html proxy=https://127.0.0.3:$port/
    for engine in io_uring epoll; do
        local way="uringload on $engine, TLS"
        check "$way 1.3" load_is_exact 2000 TLSv1.3 "$files" ec --expect "$page"
        check "$way 1.3: --close" load_is_exact 2000 TLSv1.3 "$files" ec --close
        check "$way 1.3: --pipeline" load_is_exact 2000 TLSv1.3 "$files" ec --pipeline 16
        check "$way 1.3: --ab" load_is_exact 2000 TLSv1.3 "$files" ec --ab
        check "$way 1.3: HEAD" load_is_exact 2000 TLSv1.3 "$files" ec --method HEAD
        check "$way 1.2: a proxy" load_is_exact 2000 TLSv1.2 "$proxy" rsa --expect "$page"
        check "$way 1.2: --close" load_is_exact 2000 TLSv1.2 "$proxy" rsa --close
        check "$way 1.3: 3 MB" load_is_exact 100 TLSv1.3 "https://127.0.0.2:$port/long.html" ec \
            --expect "$work/www/long.html"
    done
    check "uringload, TLS: an unknown issuer" load_is_refused "$files" rsa
    end tls
    with_s_server "$port"
    end proxied
}

certificates() {
    local of='subjectAltName=IP:127.0.0.2,IP:127.0.0.3,IP:127.0.0.5,IP:127.0.0.7,DNS:localhost'
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ec \
        -addext "$of" -keyout "$work/ec.key" -out "$work/ec.pem" 2> "$work/openssl.log"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=rsa \
        -addext "$of" -keyout "$work/rsa.key" -out "$work/rsa.pem" 2>> "$work/openssl.log"
    # Without extensions, OpenSSL makes a certificate of version 1.
    openssl req -new -key "$work/ec.key" -subj /CN=old 2>> "$work/openssl.log" |
        openssl x509 -req -days 2 -signkey "$work/ec.key" -out "$work/old.pem" \
            2>> "$work/openssl.log"
}

with_s_server() {
    cp "$page" "$work/www/page"
    for certificate in ec old; do
        (cd "$work/www" && exec openssl s_server -accept "127.0.0.2:$1" -WWW -quiet \
            -cert "$work/$certificate.pem" -key "$work/ec.key") 2> "$work/s_server.err" &
        pids[s_server]=$!
        await "openssl s_server" listens "127.0.0.2" "$1"
        local trust=(--cacert "$work/ec.pem")
        [ "$certificate" = ec ] || trust=(--insecure)
        # It serves one connection at a time, and ends content with the connection.
        check "uringload with openssl s_server, $certificate.pem" "$load" -c 1 -n 50 --ab \
            --expect "$page" "${trust[@]}" "https://127.0.0.2:$1/page"
        kill "${pids[s_server]}"
        wait "${pids[s_server]}" || true
        unset "pids[s_server]"
    done
}

# The headers of the load client, as nginx and HAProxy read and log them. Each proxy has an address
# for http and one for https, with the port of this server. HAProxy has one thread, as its log loses
# lines that two write at the same time.
load_with_proxy_headers() {
    start reserved --listen 127.0.0.1:0
    local port=${url##*:}
    port=${port%/}
    cat > "$work/proxied.conf" <<CONF
daemon off; worker_processes 1; pid $work/proxied.pid; error_log $work/proxied.log;
events { worker_connections 64; }
http { client_body_temp_path $work/b; proxy_temp_path $work/p;
 fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
 log_format told '\$proxy_protocol_addr \$proxy_protocol_port \$status';
 access_log $work/nginx.told told; root $work/www;
 server { listen 127.0.0.4:$port proxy_protocol; }
 server { listen 127.0.0.5:$port ssl proxy_protocol;
  ssl_certificate $work/ec.pem; ssl_certificate_key $work/ec.key; } }
CONF
    PATH=$PATH:/usr/sbin nginx -c "$work/proxied.conf" 2> "$work/proxied.err" &
    pids[nginx]=$!
    cat "$work/ec.pem" "$work/ec.key" > "$work/both.pem"
    cat > "$work/haproxy.cfg" <<CONF
global
 log stdout format raw local0
 stats socket $work/haproxy.sock
 nbthread 1
defaults
 mode http
 log global
 log-format "%ci %cp %ST"
 timeout client 10s
 timeout server 10s
 timeout connect 10s
frontend all
 bind 127.0.0.6:$port accept-proxy
 bind 127.0.0.7:$port accept-proxy ssl crt $work/both.pem
 http-request return status 200 content-type text/plain string hello
CONF
    # Not into the file: HAProxy would not append to what a check has emptied.
    PATH=$PATH:/usr/sbin haproxy -f "$work/haproxy.cfg" 2> "$work/haproxy.err" \
        > >(exec cat >> "$work/haproxy.told") &
    pids[haproxy]=$!
    await "nginx behind a proxy" test -s "$work/proxied.pid"
    await "HAProxy" test -S "$work/haproxy.sock"
    for engine in io_uring epoll; do
        for kind in tcp local unix; do
            local way="uringload on $engine, --proxy-protocol=$kind:"
            check "$way nginx" header_is_read nginx "http://127.0.0.4:$port/page.html"
            check "$way nginx, TLS" header_is_read nginx "https://127.0.0.5:$port/page.html"
            check "$way HAProxy" header_is_read haproxy "http://127.0.0.6:$port/"
            check "$way HAProxy, TLS" header_is_read haproxy "https://127.0.0.7:$port/"
        done
    done
    # It ends by SIGTERM, which is no exit status of 0.
    kill "${pids[haproxy]}"
    wait "${pids[haproxy]}" || true
    unset "pids[haproxy]"
    end nginx
    end reserved
}

# Between the ready line and the totals, the only system call is io_uring_enter, except the read of
# the signal that starts the drain.
under_strace() {
    local plain=$program
    # -D: the started process is the server, and the tracer is its child.
    traced() { exec strace -D -f -o "$work/trace" "$plain" "$@"; }
    program=traced
    start traced --single-process --listen 127.0.0.1:0
    check "strace: ab" ab_is_clean 2000 -c 100
    check "strace: ab -k" ab_is_clean 2000 -c 100 -k
    check "strace: an error" status_is 405 --data x=y
    end traced
    program=$plain
    check "strace: nothing but io_uring_enter" only_enters
}

# Checks; their arguments are options of the program.

same_page() {
    curl -sS --fail "$@" -o "$work/got" "$url" && cmp "$work/got" "$page"
}

curl_says() {
    local text=$1
    shift
    # Not -q: grep would end early, and curl would fail to write.
    curl -sS "$@" "$url" | tr -d '\r' | grep -xF "$text"
}

status_is() {
    local status=$1 got
    shift
    got=$(curl -sS "$@" -o "$work/got" -w '%{http_code}' "$url")
    [ "$got" = "$status" ] || { echo "got $got"; return 1; }
}

reuses_connection() {
    local connects
    connects=$(curl -sS "$@" -o "$work/got" "$url" -o "$work/got2" "$url" \
        -o "$work/got3" "$url" -w '%{num_connects} ')
    [ "$connects" = "1 0 0 " ] || { echo "connections opened: $connects"; return 1; }
    cmp "$work/got3" "$page"
}

same_part() {
    local range=$1 from=$2 count=$3
    status_is 206 --range "$range"
    [ "$from" -ge 0 ] || from=$(($(wc -c < "$page") + from))
    part_of "$page" "$from" "$count" | cmp - "$work/got"
}

not_modified_by_etag() {
    status_is 200 --etag-save "$work/etag"
    status_is 304 --etag-compare "$work/etag"
}

continues() {
    head -c 1000 "$page" > "$work/part"
    curl -sS --continue-at - -o "$work/part" "$url" && cmp "$work/part" "$page"
}

ab_is_clean() {
    local count=$1
    shift
    ab -q -s 30 -n "$count" "$@" "$url" > "$work/ab" 2>&1 || { tail -3 "$work/ab"; return 1; }
    local wrong='Failed requests: *[1-9]|Non-2xx|Write errors'
    if grep -E "$wrong" "$work/ab"; then return 1; fi
    grep -qE "Complete requests: +$count\$" "$work/ab"
}

wrk_is_clean() {
    wrk -t 1 -d 2s "$@" "$url" > "$work/wrk"
    if grep -E 'Socket errors|Non-2xx' "$work/wrk"; then return 1; fi
    grep -qE '^ +[1-9][0-9]* requests in' "$work/wrk"
}

only_enters() {
    awk '/ready on/ { on = 1; next } /"uringstatic: served/ { on = 0 } on' "$work/trace" > "$work/calls"
    grep -c 'io_uring_enter(' "$work/calls"
    grep -v 'io_uring_enter(' "$work/calls" > "$work/others"
    cat "$work/others"
    # The signalfd record of SIGTERM (15) is read once. Then signals are unblocked, and standard
    # error is polled before the last message.
    [ "$(wc -l < "$work/others")" -eq 3 ] \
        && sed -n 1p "$work/others" | grep -qE ' read\([0-9]+, "\\17' \
        && sed -n 2p "$work/others" | grep -q ' rt_sigprocmask(SIG_UNBLOCK, \[INT TERM\]' \
        && sed -n 3p "$work/others" | grep -q ' ppoll(\[{fd=2, '
}

same_status() {
    local ours theirs ask=(curl -sS -o /dev/null -w '%{http_code}' -H "$1" http://a/)
    ours=$("${ask[@]}" --unix-socket "$work/socket2")
    theirs=$("${ask[@]}" --unix-socket "$work/nginx.sock")
    [ "$ours" = "$theirs" ] || { echo "ours $ours, nginx's $theirs"; return 1; }
}

# Every request is in nginx's log, over this version of TLS, on as many connections as the client
# has counted; no session is resumed.
load_is_exact() {
    local count=$1 version=$2 target=$3 certificate=$4
    shift 4
    : > "$work/access.log"
    "$load" -c 20 -n "$count" --engine "$engine" --cacert "$work/$certificate.pem" "$@" \
        --json "$work/load.json" "$target"
    local connects
    connects=$(sed -n 's/.*"connects": *\([0-9]*\).*/\1/p' "$work/load.json")
    # nginx writes a line after it has sent the response.
    for _ in $(seq 100); do
        if has_logged "$version" "$count" "$connects"; then return; fi
        sleep 0.02
    done
    return 1
}

has_logged() {
    awk -v version="$1" -v count="$2" -v connects="$3" '
        { lines += $2 == version && $3 == "." && $NF == 200; seen[$1] = 1 }
        END { if (lines != count || NR != count || length(seen) != connects) {
            print lines " of " count " requests on " length(seen) " of " connects; exit 1 } }
    ' "$work/access.log"
}

load_is_refused() {
    local said
    if said=$("$load" -c 2 -n 5 --connect-timeout 200ms --cacert "$work/$2.pem" "$1"); then
        echo "$said"
        return 1
    fi
    grep -q "first failure .*no trusted authority" <<< "$said"
}

# Every request is in the proxy's log, with the address and the port that its header names (a header
# names the local addresses in turn, and 1024 plus the number of the slot), or with none of these.
header_is_read() {
    local proxy=$1 target=$2 options=(--connect-timeout 500ms)
    [[ $target != https:* ]] || options+=(--cacert "$work/ec.pem")
    : > "$work/$proxy.told"
    if ! "$load" -c 10 -n 200 --engine "$engine" --requests-per-connection 7 "${options[@]}" \
        --source 127.0.0.10-127.0.0.11 --proxy-protocol="$kind" "$target"; then
        [ "$kind" = unix ] && is_known_refusal "$proxy"
        return
    fi
    # A line is written after its response was sent.
    for _ in $(seq 100); do
        if was_told "$proxy"; then return; fi
        sleep 0.02
    done
    return 1
}

was_told() {
    # Other lines are of handshakes that the end of the load has cut off.
    awk -v kind="$kind" '
        NF == 3 { is_named = $1 == "127.0.0." 10 + $2 % 2 && $2 >= 1024 && $2 < 1034
          right += is_named == (kind == "tcp") && $3 == 200; all++; seen[$2] = 1 }
        END { if (all != 200 || right != 200 || kind == "tcp" && length(seen) != 10) {
            print right " of " all " requests from " length(seen) " ports"; exit 1 } }
    ' "$work/$1.told"
}

# Headers with Unix addresses are refused where they are not implemented, although the specification
# wants them to be skipped then (2.2). HAProxy (2.6 to 2.9, at least) has no case for their family in
# conn_recv_proxy(): it looks for the extensions of the header (TLVs) at its first byte instead of
# behind the addresses, and finds the signature there. nginx (1.22) reads 107 bytes in front of TLS.
is_known_refusal() {
    if [ "$1" = haproxy ]; then
        grep -m 1 'Received an invalid PROXY protocol header' "$work/haproxy.told"
    else
        grep -m 1 'header is too large while reading PROXY protocol' "$work/proxied.log"
    fi
}

listens() {
    (exec 3<> "/dev/tcp/$1/$2")
}

main "$@"
