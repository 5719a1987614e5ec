# What scripts share that check the server against programs of others: starting and ending it, and
# counting checks. To be sourced from the project's folder; not run by itself.
# shellcheck shell=bash

declare -A pids=()
passed=0
failed=0

check() {
    local name=$1 said
    shift
    if said=$(set -e; "$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name: $said"
    fi
}

# Runs a step of CI, and says how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    echo "==> $name"
    "$@"
    echo "<== $name: $((SECONDS - start)) s"
}

# Starts the server under a name; `url` is its first address.
start() {
    local name=$1
    shift
    rm -f "$work/$name.err"
    "$program" "$@" 2> "$work/$name.err" &
    pids[$name]=$!
    await "the server" grep -q ' ready on ' "$work/$name.err"
    url=$(sed -n 's/.* ready on \([^ ]*\).*/\1/p' "$work/$name.err")
}

await() {
    local what=$1
    shift
    for _ in $(seq 1200); do
        if "$@" 2> /dev/null; then return; fi
        sleep 0.05
    done
    echo "$what did not start" >&2
    cat "$work"/*.err >&2
    exit 1
}

# Ends what was started under a name; it has to exit with 0.
end() {
    local name=$1 code=0
    kill -TERM "${pids[$name]}"
    wait "${pids[$name]}" || code=$?
    unset "pids[$name]"
    check "$name: exit code 0" test "$code" -eq 0
}

end_all() {
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2> /dev/null || true
    done
    rm -rf "$work"
}

# So many bytes of a file, from an offset on. By one program: in a pipe, a head that has enough may
# end while its writer still writes, which then fails.
part_of() {
    dd if="$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none
}

# Arguments are program:package.
install_missing() {
    local missing=()
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin command -v "${pair%%:*}" > /dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -q
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qy "${missing[@]}"
}

# Builds the program, and makes a folder for what comes up.
prepare() {
    cargo build --release
    program=${CARGO_TARGET_DIR:-target}/release/uringstatic
    work=$(mktemp -d)
    # If root runs this, files are read as nobody, who may not enter what mktemp makes.
    chmod 755 "$work"
    trap end_all EXIT
}

# Runs the calling script once more, as root and in network and mount namespaces of its own, with
# `--inside` and the folder of the program, which is built if none is given.
in_own_network() {
    local folder=$1
    if [ -z "$folder" ]; then
        cargo build --release
        folder=${CARGO_TARGET_DIR:-target}/release
    fi
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" unshare --net --mount "$0" --inside "$(realpath "$folder")"
}

# The checks of a machine that runs tests/kernels-init.sh, from the log of its console.
checks_of_machine() {
    local name=$1 log=$2 line
    tr -d '\r' < "$log" > "$log.lines"
    while IFS= read -r line; do
        case $line in
            "ok "*) check "$name: ${line#ok }" true ;;
            "FAIL "*) check "$name: ${line#FAIL }" false ;;
            end) ;;
            *) echo "      $line" ;;
        esac
    done < "$log.lines"
}

# Makes $work/initramfs of a program, a busybox and two sites, for a virtual machine whose first process
# is tests/kernels-init.sh.
make_initramfs() {
    local root=$work/root
    mkdir -p "$root"/{bin,site/blue,site/green}
    cp "$1" "$root/uringstatic"
    cp "$2" "$root/bin/busybox"
    cp src/site/page.html "$root/"
    install -m 755 tests/kernels-init.sh "$root/init"
    echo '<h1>blue</h1>' > "$root/site/blue/index.html"
    echo '<h1>green</h1>' > "$root/site/green/index.html"
    # Longer than what both sockets of a connection can hold (tcp(7), tcp_wmem and tcp_rmem), so
    # that its response is under way until its reader ends.
    seq 2400000 > "$root/site/blue/large.bin"
    (cd "$root" && find . | cpio --quiet --create --format=newc --owner=0:0) | gzip -1 > "$work/initramfs"
}

# Fails if a check has.
summary() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
