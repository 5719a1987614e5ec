#!/usr/bin/env bash
# Checks the admin listener with programs of others: Debian's Prometheus scrapes it, promtool checks
# metrics, configuration and alerts, the Python client parses OpenMetrics, and every query of the
# dashboard is answered. Meanwhile a worker crashes, one reload succeeds and one fails. The counts of
# the load client and of the metrics have to be equal. Prints a line for each check and a summary;
# exits with 1 if a check failed. Installs missing programs as root.
#
# usage: metrics.sh [FOLDER OF THE PROGRAMS]
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

requests=100000

main() {
    install_missing curl:curl jq:jq prometheus:prometheus promtool:prometheus
    /usr/bin/python3 -c 'import prometheus_client' 2> /dev/null \
        || install_missing no-such-program:python3-prometheus-client
    prepare_programs "$@"
    echo page > "$work/page.txt"

    start server --listen 127.0.0.1:0 --admin 127.0.0.1:0 --page "$work/page.txt" --workers 2 \
        --access-log "$work/access.log"
    admin=$(sed -n 's/.*; admin on \([^;]*\)\/;.*/\1/p' "$work/server.err")
    files_of_prometheus
    formats
    start_prometheus
    await "the first scrape" has_value 'up' 1
    under_load
    answers
    dashboard
    drain
    summary
}

# The programs of a folder, or those that are built here.
prepare_programs() {
    if [ $# -eq 0 ]; then
        prepare
        folder=$(dirname "$program")
        return
    fi
    folder=$1
    program=$folder/uringstatic
    work=$(mktemp -d)
    chmod 755 "$work"
    trap end_all EXIT
}

files_of_prometheus() {
    check "promtool: the configuration is valid" promtool check config deploy/prometheus/prometheus.yml
    check "promtool: the alerts are valid" promtool check rules deploy/prometheus/rules.yml
    check "promtool: each alert fires when it should, and not before" \
        promtool test rules deploy/prometheus/rules-test.yml
    check "each alert has a test" every_alert_is_tested
    check "the dashboard is JSON" jq -e .panels deploy/prometheus/grafana.json
}

every_alert_is_tested() {
    local name
    while read -r name; do
        grep -q "alertname: $name" deploy/prometheus/rules-test.yml || { echo "$name"; return 1; }
    done < <(sed -n 's/.*- alert: //p' deploy/prometheus/rules.yml)
}

formats() {
    check "promtool: the metrics are well named and have help" lint
    check "the Python client parses OpenMetrics" /usr/bin/python3 - "$admin" <<'EOF'
import sys
import urllib.request
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text


def scrape(accept):
    request = urllib.request.Request(sys.argv[1] + "/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request) as response:
        return response.headers["Content-Type"], response.read().decode()


kind, text = scrape("application/openmetrics-text; version=1.0.0")
assert kind.startswith("application/openmetrics-text; version=1.0.0"), kind
samples = {(s.name, *sorted(s.labels.items())) for f in parse_open(text) for s in f.samples}
kind, text = scrape("text/plain")
assert kind.startswith("text/plain; version=0.0.4"), kind
others = {(s.name, *sorted(s.labels.items())) for f in parse_text(text) for s in f.samples}
assert samples == others and len(samples) > 60, samples ^ others
EOF
}

lint() {
    curl -fsS "$admin/metrics" > "$work/metrics.txt"
    local said
    said=$(promtool check metrics < "$work/metrics.txt" 2>&1) || { echo "$said"; return 1; }
    [ -z "$said" ] || { echo "$said"; return 1; }
}

# With the configuration in deploy/, but for the target and the interval.
start_prometheus() {
    mkdir "$work/prometheus"
    cp deploy/prometheus/rules.yml "$work/prometheus"
    sed -e "s|127.0.0.1:9180|${admin#http://}|" -e 's/_interval: 15s/_interval: 1s/' \
        deploy/prometheus/prometheus.yml > "$work/prometheus/prometheus.yml"
    prometheus --config.file="$work/prometheus/prometheus.yml" --web.listen-address=127.0.0.1:0 \
        --storage.tsdb.path="$work/prometheus/data" 2> "$work/prometheus.err" > /dev/null &
    pids[prometheus]=$!
    await "Prometheus" grep -q 'msg="Listening on"' "$work/prometheus.err"
    local address
    address=$(sed -n 's/.*msg="Listening on" address=\(127[^ ]*\).*/\1/p' "$work/prometheus.err")
    prometheus_url=http://$address
    await "Prometheus" curl -fsS -o "$work/ready" "$prometheus_url/-/ready"
}

# The value of a query that has one series.
value_of() {
    curl -fsS "$prometheus_url/api/v1/query" --data-urlencode "query=$1" \
        | jq -er '.data.result | if length == 1 then .[0].value[1] else error("\(length) series") end'
}

has_value() {
    [ "$(value_of "$1")" = "$2" ]
}

# Half of the requests, then a crash, both kinds of reload, and the other half.
under_load() {
    load 1
    kill -ABRT "$(worker)"
    await "the replacement" grep -q 'it is replaced' "$work/server.err"
    echo "another page" > "$work/page.txt"
    kill -HUP "${pids[server]}"
    await "the reload" grep -q 'reloaded: generation 2' "$work/server.err"
    load 2
    mv "$work/page.txt" "$work/moved.txt"
    kill -HUP "${pids[server]}"
    await "the refused reload" grep -q 'not reloaded' "$work/server.err"
    for _ in 1 2 3; do curl -sS -o "$work/answer" -X POST "$url"; done
    await "the last scrape" has_value 'sum(uringstatic_http_requests_total)' $((requests + 3))
    await "the alert" has_value 'ALERTS{alertname="UringstaticReloadFailed"}' 1
}

load() {
    check "load $1: the client counts its requests" \
        "$folder/uringload" -n $((requests / 2)) -c 16 --json "$work/load-$1.json" "$url"
}

# A worker that serves.
worker() {
    curl -fsS "$admin/status" | jq -er '[.workers[] | select(.state == "serving")][0].process'
}

answers() {
    local name=uringstatic_http_requests_total
    check "the requests of the load client are counted to the unit" \
        has_value "sum($name{code=\"200\"})" "$requests"
    check "other methods have one label" has_value "sum($name{method=\"other\",code=\"405\"})" 3
    check "each request has a duration" \
        has_value 'uringstatic_http_request_duration_seconds_count' $((requests + 3))
    check "no counter went back" has_value "sum(resets($name[1h]))" 0
    check "one worker was replaced" has_value 'uringstatic_worker_restarts_total' 1
    check "a reload succeeded" has_value 'uringstatic_generation' 2
    check "a reload failed" has_value 'uringstatic_reloads_total{outcome="failure"}' 1
    check "two workers serve" has_value 'sum(uringstatic_worker_up)' 2
    check "the queue of the listener is read" has_value 'uringstatic_accept_queue' 0
    check "the alert for the failed reload is pending" \
        has_value 'ALERTS{alertname="UringstaticReloadFailed",alertstate="pending"}' 1
    check "the status has the reason" status_has_reason
    check "no record of the access log is lost" \
        has_value 'uringstatic_access_log_dropped_records_total' 0
    check "Prometheus has no complaint" no_complaint
}

status_has_reason() {
    curl -fsS "$admin/status" | jq -e '.reload.error | test("reading the page")'
}

no_complaint() {
    ! grep -E 'level=(warn|error)' "$work/prometheus.err"
}

# Every query of the dashboard, with the values that Grafana would put into it.
dashboard() {
    local count=0 query answer
    while IFS= read -r query; do
        query=${query//\$__rate_interval/1m}
        query=${query//\$job/uringstatic}
        query=${query//\$instance/.*}
        answer=$(curl -fsS "$prometheus_url/api/v1/query" --data-urlencode "query=$query")
        count=$((count + 1))
        check "dashboard: $query" jq -e '.data.result | length > 0 and all(.value[1] != "NaN")' \
            <<< "$answer"
    done < <(jq -r '.panels[].targets[].expr' deploy/prometheus/grafana.json)
    check "the dashboard has queries" test "$count" -gt 15
}

drain() {
    kill -TERM "${pids[prometheus]}"
    wait "${pids[prometheus]}" || true
    unset 'pids[prometheus]'
    end server
}

main "$@"
