#!/usr/bin/env bash
# Rehearses a load from several machines, as deploy/kubernetes/load-job.yaml makes it: three load
# clients and a server, each in a network namespace of its own, joined by a bridge. The clients begin
# at the same time, each writes its report, and the merged report has to have the counts of the
# server, to the unit. Prints a line for each check and a summary; exits with 1 if a check failed.
# Has to be run by root, or by a user that may use sudo. Installs missing programs with apt-get.
#
# usage: load-machines.sh [FOLDER]
#
# FOLDER has the programs; without it, they are built. All namespaces and the bridge live in network
# and mount namespaces of this script's own (unshare(1)), so they go with it, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

clients=3

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    install_missing ip:iproute2 python3:python3
    in_own_network "${1:-}"
}

inside() {
    program=$1/uringstatic
    client=$1/uringload
    work=$(mktemp -d)
    trap end_all EXIT
    network

    with_server "closed loop" 60000 --connections 20 --requests 20000
    with_server "a connection for each request" 6000 --close --connections 20 --requests 2000
    with_server "two processes each" 60000 --connections 20 --requests 20000 --processes 2
    with_server "open loop" any --connections 20 --rate 500 --duration 2s
    check "open loop: the rates are added" is_rate 1500
    with_server "another method" 1500 --method POST --status 405 --connections 5 --requests 500
    with_server "two runs each" 12000 --connections 5,10 --requests 2000
    check "reports in one text" reports_in_one_text
    check "a report of another load is refused" other_load_is_refused
    check "the manifest has the fields of a Job" manifest
    summary
}

# A namespace for the server, 10.99.0.1, and one for each client, 10.99.0.2 and so on.
network() {
    mount -t tmpfs tmpfs /run
    ip link add machines type bridge
    ip link set machines up
    local number
    for number in $(seq 0 "$clients"); do
        ip netns add "machine$number"
        ip link add "port$number" type veth peer name eth0 netns "machine$number"
        ip link set "port$number" master machines up
        ip -n "machine$number" address add "10.99.0.$((number + 1))/24" dev eth0
        ip -n "machine$number" link set eth0 up
        ip -n "machine$number" link set lo up
    done
}

on() {
    local number=$1
    shift
    ip netns exec "machine$number" "$@"
}

# Makes a load by all clients on a server of its own, and checks the counts. The server counts
# `expected` requests, or what the clients say.
with_server() {
    local name=$1 expected=$2
    shift 2
    # Not a function: the pid is then that of the server, which `ip` becomes.
    ip netns exec machine0 "$program" --listen 10.99.0.1:80 2> "$work/server.err" &
    pids[server]=$!
    await "the server" grep -q ' ready on ' "$work/server.err"
    check "$name: clients" make_load "$@"
    check "$name: merging" merge_reports
    end server
    check "$name: counts of server and clients" counts_are_equal "$expected"
}

make_load() {
    local number code=0 running=() start
    start=$(date -u -d '+1 second' +%FT%T.%3NZ)
    date -u -d "$start" +%s.%N > "$work/start"
    for number in $(seq "$clients"); do
        on "$number" "$client" --quiet --json - --start-at "$start" "$@" http://10.99.0.1/ \
            > "$work/client$number.json" 2> "$work/client$number.err" &
        running+=($!)
    done
    for number in "${running[@]}"; do
        wait "$number" || code=$?
    done
    cat "$work"/client*.err
    return "$code"
}

reports() {
    seq -f "$work/client%g.json" "$clients"
}

merge_reports() {
    # shellcheck disable=SC2046
    "$client" merge --json "$work/merged.json" $(reports) > "$work/merged.txt"
}

# The counts of the merged report are the sums of those of its parts and those of the server.
counts_are_equal() {
    python3 - "$1" "$work" "$clients" << 'END'
import json, re, sys

expected, work, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])
parts = [json.load(open(f"{work}/client{number + 1}.json"))["runs"] for number in range(clients)]
merged = json.load(open(f"{work}/merged.json"))["runs"]
start = float(open(f"{work}/start").read())
assert len(merged) == len(parts[0]), "each run is merged with those of the other clients"
for place, run in enumerate(merged):
    of_parts = [runs[place] for runs in parts]
    for figure in ["requests", "due", "sent", "failed", "outstanding", "bytes", "connects"]:
        total = sum(part[figure] for part in of_parts)
        assert run[figure] == total, f"{figure}: {run[figure]} merged, {total} in the parts"
    assert run["due"] == run["sent"] + run["not_sent"], run
    assert run["sent"] == run["requests"] + run["failed"] + run["outstanding"], run
    latency = run["response_us"]
    assert latency["count"] == run["requests"] == sum(run["statuses"].values()), latency["count"]
    assert sum(count for _, count in latency["histogram"]) == latency["count"]
    slowest = max(part["response_us"]["max"] for part in of_parts)
    assert latency["max"] == slowest, f'max {latency["max"]} merged, {slowest} in the parts'
    starts = [part["started_at"] for part in of_parts]
    assert min(starts) >= start - 0.002, f"a client began {start - min(starts):.3f} s early"
    apart = max(starts) - min(starts)
    assert place > 0 or apart < 0.1, f"the clients began {apart:.3f} s apart"
said = open(f"{work}/server.err").read()
served = int(re.search(r"(\d+) requests?\b", said).group(1))
requests = sum(run["requests"] for run in merged)
assert served == requests, f"the server counts {served} requests, the clients {requests}"
assert expected in ("any", str(requests)), f"{requests} requests, not {expected}"
END
}

is_rate() {
    python3 - "$1" "$work/merged.json" << 'END'
import json, sys

expected, run = float(sys.argv[1]), json.load(open(sys.argv[2]))["runs"][0]
assert run["rate_asked"] == expected, run["rate_asked"]
assert abs(run["rate"] - expected) < 0.03 * expected, run["rate"]
assert not run["rate_missed"], run["rate_held"]
END
}

# As `kubectl logs` of several pods writes them.
reports_in_one_text() {
    # shellcheck disable=SC2046
    cat $(reports) | "$client" merge --json "$work/again.json" - > "$work/again.txt"
    cmp "$work/merged.json" "$work/again.json" && cmp "$work/merged.txt" "$work/again.txt"
}

other_load_is_refused() {
    sed 's|"url": "http://10.99.0.1/"|"url": "http://10.99.0.1/other"|' "$work/client2.json" \
        > "$work/other.json"
    local code=0 said
    said=$("$client" merge "$work/client1.json" "$work/other.json" 2>&1) || code=$?
    echo "$said"
    [ "$code" -eq 1 ] && grep -q '/other' <<< "$said" || return 1
    "$client" merge --force "$work/client1.json" "$work/other.json" > "$work/forced.txt"
}

# kubectl writes what it understood of the manifest, which has to be all of it.
manifest() {
    local file=deploy/kubernetes/load-job.yaml
    if ! command -v kubectl > /dev/null; then
        echo "kubectl isn't installed" >&2
        return
    fi
    kubectl label --local -f "$file" rehearsed=yes -o json > "$work/job.json"
    python3 - "$file" "$work/job.json" << 'END'
import json, sys

try:
    import yaml
except ImportError:
    sys.exit(0)

def check(ours, understood, path):
    if isinstance(ours, dict):
        for key, value in ours.items():
            assert key in understood, f"{path}.{key} is unknown"
            check(value, understood[key], f"{path}.{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(understood), path
        for place, value in enumerate(ours):
            check(value, understood[place], f"{path}[{place}]")
    else:
        assert ours == understood, f"{path}: {ours!r} is {understood!r}"

job = yaml.safe_load(open(sys.argv[1]))
check(job, json.load(open(sys.argv[2])), "job")
assert job["spec"]["completions"] == job["spec"]["parallelism"]
END
}

main "$@"
