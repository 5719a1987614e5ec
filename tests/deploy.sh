#!/usr/bin/env bash
# Deploys releases of a site under load, as an operator does: a link `current` is switched from one
# release to the other in one step, and SIGHUP has the server read it. Prints a line for each check
# and a summary; exits with 1 if a check failed. Needs Python; a browser loads pages, too, where
# Chromium is installed.
#
# usage: deploy.sh [DEPLOYS]
#
# Each release has the assets of both under names of their own, as a build tool's hashes make them,
# since a page that was loaded just before the switch asks for its assets just after it. So a page
# has to be of one release in all its parts.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

main() {
    local deploys=${1:-50}
    install_missing python3:python3
    prepare
    loader=${program%static}load
    make_releases
    switch_to blue
    # The process that reads the files does not run as root.
    chmod -R a+rX "$work"

    start deployed --listen 127.0.0.1:0 --root "$work/current" --workers 2 --reload-grace 500ms
    start_clients
    local wrong=0 number
    await_browser blue
    for number in $(seq "$deploys"); do
        deploy "$number" || wrong=$((wrong + 1))
        [ "$number" -ne 1 ] || await_browser green
    done
    check "$deploys deploys, each served by all new connections at once" test "$wrong" -eq 0
    end_clients
    check "uringload, kept alive: no failed request" has_no_failures kept
    check "uringload --close: no failed request" has_no_failures close
    check "uringload --pipeline 8: no failed request" has_no_failures pipeline
    check "Python: each page whole and of one release" says "$work/pages.txt" pages
    if command -v chromium > /dev/null; then
        check "Chromium: each page of one release in all parts" says "$work/browser.txt" loads
    else
        echo "-     Chromium is not installed"
    fi
    cat "$work"/{kept,close,pipeline}.summary "$work/pages.txt" "$work/browser.txt" 2> /dev/null || true
    end deployed
    summary
}

# Two releases whose pages differ in every byte and in length.
make_releases() {
    local release
    for release in blue green; do
        mkdir -p "$work/$release"
        cat > "$work/$release/index.html" <<PAGE
<!doctype html><html lang=en><title>$release</title>
<link rel=stylesheet href=/app-$release.css><img id=img src=/img-$release.svg alt="">
<p>$(yes "$release" | head -c "$([ $release = blue ] && echo 3000 || echo 7000)")</p>
<script src=/app-$release.js></script></html>
PAGE
    done
    for release in blue green; do
        local width=10
        [ $release = blue ] || width=20
        echo ":root { --release: $release }" > "$work/app-$release.css"
        echo "<svg xmlns='http://www.w3.org/2000/svg' width='$width' height='10'/>" > "$work/img-$release.svg"
        cat > "$work/app-$release.js" <<'SCRIPT'
addEventListener('load', () => {
  const css = getComputedStyle(document.documentElement).getPropertyValue('--release').trim();
  const img = { 10: 'blue', 20: 'green' }[document.getElementById('img').naturalWidth];
  document.body.dataset.seen = `html=${document.title} css=${css} img=${img} js=THIS`;
});
SCRIPT
        sed -i "s/THIS/$release/" "$work/app-$release.js"
    done
    seq 20000 > "$work/shared.txt"
    for release in blue green; do
        cp "$work"/app-*.* "$work"/img-*.* "$work/shared.txt" "$work/$release/"
    done
}

switch_to() {
    ln -s "$1" "$work/next"
    mv -T "$work/next" "$work/current"
}

# Switches the link, has the server reload, and checks that connections made from then on get the new
# release only.
deploy() {
    local release=blue
    [ $(($1 % 2)) -eq 0 ] || release=green
    switch_to $release
    kill -HUP "${pids[deployed]}"
    await "generation $(($1 + 1))" grep -q "reloaded: generation $(($1 + 1)) " "$work/deployed.err"
    "$loader" -n 300 -c 10 --quiet --processes 1 --expect "$work/$release/index.html" "$url" > /dev/null
}

# The load client checks every byte of a file that both releases have, and for the page that it is
# complete; Python compares pages with both releases.
start_clients() {
    local common=(--duration 1h --processes 1 --quiet)
    start_load kept "${common[@]}" -c 20 --expect "$work/shared.txt" "${url}shared.txt"
    start_load close "${common[@]}" -c 5 --close "$url"
    start_load pipeline "${common[@]}" -c 5 --pipeline 8 "$url"
    python3 - "$url" "$work" > "$work/pages.txt" 2>&1 <<'PYTHON' &
import http.client, pathlib, signal, sys, threading, urllib.parse

address, work = urllib.parse.urlsplit(sys.argv[1]).netloc, pathlib.Path(sys.argv[2])
pages = {(work / name / "index.html").read_bytes(): name for name in ("blue", "green")}
counts, problems, over = {"blue": 0, "green": 0}, [], threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())

def visit():
    client = http.client.HTTPConnection(address, timeout=20)
    while not over.is_set():
        try:
            client.request("GET", "/")
            response = client.getresponse()
            name = pages.get(response.read())
        except Exception as error:
            problems.append(repr(error))
            client.close()
            continue
        if name is None or response.status != 200:
            problems.append(f"a page of no release, status {response.status}")
        else:
            counts[name] += 1

threads = [threading.Thread(target=visit) for _ in range(4)]
for thread in threads:
    thread.start()
over.wait()
for thread in threads:
    thread.join()
verdict = "right" if all(counts.values()) and not problems else "WRONG"
print(f"pages {verdict}: {counts['blue']} blue, {counts['green']} green; {problems[:3]}")
PYTHON
    pids[python]=$!
    if command -v chromium > /dev/null; then
        browse > "$work/browser.txt" 2>&1 &
        pids[browser]=$!
    fi
}

start_load() {
    local name=$1
    shift
    "$loader" --json "$work/$name.json" "$@" > "$work/$name.out" 2>&1 &
    pids[$name]=$!
}

# Loads the page again and again until it is told to end.
browse() {
    local loads=0 wrong=0 over='' seen blue=0 green=0
    trap 'over=yes' TERM
    while [ -z "$over" ]; do
        timeout 60 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
            --user-data-dir="$work/profile" --enable-logging=stderr --v=0 --dump-dom "$url" \
            > "$work/dom" 2> "$work/console" || true
        loads=$((loads + 1))
        seen=$(sed -n 's/.*data-seen="\([^"]*\)".*/\1/p' "$work/dom")
        # A request that failed would be in the console.
        if grep -q CONSOLE "$work/console"; then seen="$(grep CONSOLE "$work/console")"; fi
        case $seen in
            "html=blue css=blue img=blue js=blue") blue=$((blue + 1)); touch "$work/saw-blue" ;;
            "html=green css=green img=green js=green") green=$((green + 1)); touch "$work/saw-green" ;;
            *) wrong=$((wrong + 1)); echo "load $loads: ${seen:-an empty page}" ;;
        esac
    done
    local verdict=right
    [ "$wrong" -eq 0 ] && [ "$blue" -gt 0 ] && [ "$green" -gt 0 ] || verdict=WRONG
    echo "loads $verdict: $blue blue, $green green, $wrong wrong"
}

# Waits until the browser has shown a release: its loads take seconds on a busy machine, in which all
# deploys may pass.
await_browser() {
    [ -z "${pids[browser]:-}" ] || await "the browser's page of $1" test -e "$work/saw-$1"
}

end_clients() {
    local name
    for name in kept close pipeline; do
        kill -INT "${pids[$name]}"
    done
    for name in python browser; do
        [ -z "${pids[$name]:-}" ] || kill -TERM "${pids[$name]}"
    done
    for name in kept close pipeline python browser; do
        [ -z "${pids[$name]:-}" ] || wait "${pids[$name]}" || true
        unset "pids[$name]"
    done
}

# The load client was interrupted, which it reports, too.
has_no_failures() {
    python3 - "$work/$1.json" "$1" > "$work/$1.summary" <<'PYTHON'
import json, sys

run = json.load(open(sys.argv[1]))["runs"][0]
print(f'uringload, {sys.argv[2]}: {run["requests"]} requests, {run["failed"]} failed,',
      f'{run["connects"]} connections, the slowest response {run["response_us"]["max"] / 1000:.0f} ms')
assert run["requests"] > 0 and run["failed"] + run["connects_failed"] == 0, run
PYTHON
}

says() {
    grep "^$2 right" "$1" || { cat "$1"; return 1; }
}

main "$@"
