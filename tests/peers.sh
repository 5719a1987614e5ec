#!/usr/bin/env bash
# Checks the server with independent programs: curl, ab, wrk, nginx and strace. Prints a line per
# check and a summary; exits with 1 if a check failed. Installs missing programs with apt-get.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

main() {
    install_missing curl:curl ab:apache2-utils wrk:wrk nginx:nginx-light strace:strace
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

main "$@"
