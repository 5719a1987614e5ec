#!/usr/bin/env bash
# Replaces the load client in tests of the sweep: makes requests one at a time and reports them with
# invented latencies. If the server ends, the remaining requests fail.
#
# --log FILE       appends the arguments to FILE
# --kill FILE      sends SIGKILL to the process whose id is in FILE, after half of the requests
# --hang PIPE      the third call (by --log) writes to PIPE, and then never ends
# --lose           makes no request, and reports all as never sent
# --fail           exits with 2 and without a report
set -euo pipefail

log=/dev/null kill='' hang='' fail='' lose='' connections='' requests='' json='' url='' given="$*"
while [ $# -gt 0 ]; do
    case $1 in
        --log) log=$2 && shift ;;
        --kill) kill=$2 && shift ;;
        --hang) hang=$2 && shift ;;
        --fail) fail=yes ;;
        --lose) lose=yes ;;
        --connections) connections=$2 && shift ;;
        --requests) requests=$2 && shift ;;
        --duration) shift ;;
        --json) json=$2 && shift ;;
        --quiet | --close) ;;
        http://*) url=$1 ;;
        *) echo "unknown argument $1" >&2 && exit 2 ;;
    esac
    shift
done

echo "$given" >> "$log"
if [ -n "$fail" ]; then
    echo "this client is out of order" >&2
    exit 2
fi
if [ -n "$hang" ] && [ "$(wc -l < "$log")" -eq 3 ]; then
    echo > "$hang"
    exec tail -f /dev/null
fi

port=${url##*:}
port=${port%%/*}
path=/${url#http://*/}
ask() {
    exec 3<> "/dev/tcp/127.0.0.1/$port" || return
    printf 'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' "$path" >&3
    local reply
    reply=$(cat <&3)
    exec 3>&-
    [[ $reply == 'HTTP/1.1 200 OK'* ]]
}

made=0 failed=0 unsent=0
[ -z "$lose" ] || unsent=$requests requests=0
for ((i = 0; i < requests; i++)); do
    if [ -n "$kill" ] && [ "$i" -eq $((requests / 2)) ]; then
        kill -KILL "$(< "$kill")"
        # Wait until the port is closed.
        while ask 2> /dev/null; do :; done
    fi
    if ask 2> /dev/null; then made=$((made + 1)); else failed=$((failed + 1)); fi
done

latency='{"count":9,"unanswered":0,"min":1,"mean":2,"p50":1000.5,"p90":3,"p99":4000,"p99_9":5,
    "max":6,"percentiles":[[50,2],[100,6]],"histogram":[[1000,9]]}'
none='{"count":0,"min":null,"mean":null,"p50":null,"p90":null,"p99":null,"p99_9":null,"max":null,
    "percentiles":[]}'
rate=$((made * 2))
[ "$made" -gt 0 ] || rate=null latency=$none
cat > "$json" << END
{"schema":"uringload/2","url":"$url","load":"a stand-in","engine":"epoll","runs":[{
"connections":$connections,"processes":1,"died":0,"seconds":0.5,"finishing_seconds":0,
"interrupted":false,"due":$((made + failed + unsent)),"not_sent":$unsent,"sent":$((made + failed)),
"requests":$made,"failed":$failed,"outstanding":0,"failures":{"reset_before_reply":$failed},
"connects_failed":0,"connect_failures":{},"statuses":{},"first_failure":null,
"requests_in_time":$made,"rate":$rate,"rate_asked":null,"rate_held":null,"rate_missed":false,
"short":false,"bytes":1,"bytes_rate":null,"connects":$made,"lingered":0,"connect_us":$latency,
"response_us":$latency,"error_us":$none,"client_cpu_seconds":0.1,"client_busiest":0.2,
"client_was_the_limit":false}]}
END
[ "$failed" -eq 0 ]
