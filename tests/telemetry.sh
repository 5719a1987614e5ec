#!/usr/bin/env bash
# Compares three counts of the same requests, to the unit: those of the load client, the lines of the
# access log, and the metrics; and the bytes that were sent. For each engine, with one worker and
# with two, with a page and with a folder, over connections that persist, connections of one request,
# and pipelines. Then rotates the log by Debian's logrotate under load. Prints a line for each check
# and a summary; exits with 1 if a check failed.
#
# usage: telemetry.sh [REQUESTS]
#
# REQUESTS is the number of requests of each load, 20,000 if it isn't given.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

main() {
    requests=${1:-20000}
    install_missing python3:python3 curl:curl logrotate:logrotate
    prepare
    loader=${program%static}load
    mkdir "$work/site"
    head -c 3000 src/site/page.html > "$work/site/index.html"
    # The process that reads the files does not run as root.
    chmod -R a+rX "$work"
    local engine workers content
    for engine in io_uring epoll; do
        for workers in 1 2; do
            for content in page folder; do
                all_loads "$engine" "$workers" "$content"
            done
        done
    done
    rotation
    summary
}

# The loads on one server. Its format is JSON with one worker and combined with two.
all_loads() {
    local engine=$1 workers=$2 content=$3
    local name="$engine, $workers workers, $content" options=() format=json
    [ "$workers" -eq 1 ] || format=combined
    [ "$content" = page ] || options=(--root "$work/site")
    # With the ready line of the server before, its address would be taken.
    rm -f "$work/access.log" "$work/service.err"
    start service --listen 127.0.0.1:0 --engine "$engine" --workers "$workers" "${options[@]}" \
        --access-log "$work/access.log" --log-format "$format" --admin "unix:$work/admin.sock"
    sent=0
    sent_bytes=0
    load "$name, persistent" -c 64
    load "$name, one request each" -c 64 --close
    load "$name, pipelined" -c 16 --pipeline 16
    end service
    check "$name: the totals of the service" has_totals
}

# One load, and the counts behind it, once they are complete: 100 ms later at most.
load() {
    local name=$1
    shift
    rm -f "$work/load.json"
    "$loader" "$@" -n "$requests" --quiet --json "$work/load.json" "$url" > "$work/load.txt" 2>&1 || true
    sent=$((sent + $(of_load requests)))
    sent_bytes=$((sent_bytes + $(of_load bytes)))
    check "$name: $requests requests, none failed" has_sent
    await "the log" has_lines "$sent"
    scrape
    check "$name: metrics" test "$(metric uringstatic_http_requests_total)" -eq "$sent"
    check "$name: bytes of the metrics" test "$(metric uringstatic_http_response_bytes_total)" -eq "$sent_bytes"
    check "$name: durations" test "$(metric uringstatic_http_request_duration_seconds_count)" -eq "$sent"
    check "$name: no dropped record" test "$(metric uringstatic_access_log_dropped_records_total)" -eq 0
    check "$name: lines" test "$(wc -l < "$work/access.log")" -eq "$sent"
    if [ "$format" = json ]; then
        check "$name: bytes of the lines" test "$(logged_bytes)" -eq "$sent_bytes"
    fi
}

has_sent() {
    test "$(of_load requests) $(of_load failed)" = "$requests 0" || { cat "$work/load.txt"; false; }
}

of_load() {
    python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["runs"][0][sys.argv[2]])' "$work/load.json" "$1"
}

has_lines() {
    [ "$(wc -l < "$work/access.log")" -ge "$1" ]
}

# Reads the metrics once they are those of after the load: the page is rendered once a second.
scrape() {
    sleep 1.1
    curl -s --unix-socket "$work/admin.sock" http://a/metrics > "$work/metrics.txt"
}

# The sum of a metric over all of its labels.
metric() {
    awk -v name="$1" '$1 == name || index($1, name "{") == 1 { sum += $2 } END { printf "%.0f", sum }' \
        "$work/metrics.txt"
}

logged_bytes() {
    sed 's/.*"sent_bytes":\([0-9]*\),.*/\1/' "$work/access.log" | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

has_totals() {
    grep -q " $sent requests, $sent_bytes bytes sent, " "$work/service.err" ||
        { cat "$work/service.err"; false; }
}

# logrotate under load, by the configuration that is shipped: each request has its line in one of the
# files.
rotation() {
    mkdir "$work/logs"
    rm -f "$work/service.err"
    start service --listen 127.0.0.1:0 --workers 2 --access-log "$work/logs/access.log"
    echo "${pids[service]}" > "$work/pid"
    sed -e "s|/var/log/uringstatic|$work/logs|; s|/run/uringstatic.pid|$work/pid|g" \
        deploy/logrotate/uringstatic > "$work/logrotate.conf"
    chmod 644 "$work/logrotate.conf"
    "$loader" -c 32 -n "$((4 * requests))" --quiet --json "$work/load.json" "$url" > "$work/load.txt" 2>&1 &
    local load=$! rotated=0
    while kill -0 "$load" 2> /dev/null && [ "$rotated" -lt 8 ]; do
        logrotate --force --state "$work/state" "$work/logrotate.conf"
        rotated=$((rotated + 1))
        await "the new log" test -s "$work/logs/access.log"
    done
    wait "$load" || true
    end service
    local lines
    lines=$(cd "$work/logs" && { cat access.log access.log.1; zcat access.log.*.gz 2> /dev/null || true; } | wc -l)
    check "logrotate $rotated times under load: no failed request" test "$(of_load failed)" -eq 0
    check "logrotate: each request has a line" test "$lines" -eq "$(of_load requests)"
    check "logrotate: more than one file" test "$rotated" -ge 2
    check "the file is for its owner and group" test "$(stat -c %a "$work/logs/access.log")" = 640
}

main "$@"
