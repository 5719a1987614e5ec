#!/usr/bin/env bash
# Checks the server on 64-bit Arm: builds it without shared libraries for that architecture, boots
# Debian's kernel for it in qemu, by software emulation, with an initramfs that has the program, a
# site, busybox and tests/kernels-init.sh, which does the checks: both engines, the whole sandbox,
# reload and drain. Prints a line for each check and a summary; exits with 1 if a check failed.
# Installs a cross compiler, qemu and cpio with apt-get.
#
# usage: arm.sh
#
# The standard library is built from the sources that the nightly toolchain has as a component
# (rust-src), so no target of rustup is needed. The kernel and busybox are kept in
# target/kernels-arm until that folder is deleted.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

# How long the machine may take; measured are 90 seconds.
boot_seconds=400

main() {
    install_missing aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu qemu-system-aarch64:qemu-system-arm \
        cpio:cpio
    [ -e /usr/aarch64-linux-gnu/lib/libc.a ] || install_missing :libc6-dev-arm64-cross
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    folder=$(realpath "${CARGO_TARGET_DIR:-target}")/kernels-arm
    mkdir -p "$folder"
    if [ ! -e "$folder/kernel" ] && ! fetch; then
        echo "SKIPPED: Debian's kernel for arm64 can't be downloaded"
        return
    fi
    build
    boot
    check "an image of it, made on this machine, is for arm64" makes_image
    summary
}

# Without link-time optimisation, which would take minutes more.
build() {
    local target=aarch64-unknown-linux-gnu
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
        RUSTFLAGS="-C target-feature=+crt-static" \
        CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=none \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo +nightly build -Z build-std=std,panic_abort --release --target $target --bin uringstatic
    program=${CARGO_TARGET_DIR:-target}/$target/release/uringstatic
    make_initramfs "$program" "$folder/busybox"
}

# By apt, which checks signatures, with lists of its own: the machine's sources stay as they are.
fetch() {
    local lists=$work/lists image
    local key=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$lists"/{lists,cache}/partial "$work/package"
    echo "deb [arch=arm64 target=Packages signed-by=$key] http://deb.debian.org/debian trixie main" > "$lists/sources"
    local apt=(-o "Dir::Etc::sourcelist=$lists/sources" -o Dir::Etc::sourceparts=- -o "Dir::Cache=$lists/cache"
        -o "Dir::State::lists=$lists/lists" -o APT::Sandbox::User=root -o APT::Architecture=arm64
        -o APT::Architectures::=arm64)
    apt-get "${apt[@]}" -qq update || return 1
    image=$(apt-cache "${apt[@]}" show linux-image-cloud-arm64 |
        sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*-cloud-arm64\).*/\1/p' | head -n 1)
    [ -n "$image" ] || return 1
    (cd "$work/package" && apt-get "${apt[@]}" -qq download "$image" busybox-static) || return 1
    local package
    for package in "$work"/package/*.deb; do
        dpkg -x "$package" "$work/package/files"
    done
    find "$work/package/files" -path '*bin/busybox' -type f -exec mv {} "$folder/busybox" \;
    find "$work/package/files" -name 'vmlinuz*' -type f -exec mv {} "$folder/kernel" \;
    [ -e "$folder/kernel" ] && [ -e "$folder/busybox" ]
}

boot() {
    local log=$work/log began=$SECONDS
    timeout --foreground "$boot_seconds" qemu-system-aarch64 -M virt -accel tcg -cpu max -smp 2 -m 512 \
        -nodefaults -no-reboot -display none -monitor none -serial stdio \
        -kernel "$folder/kernel" -initrd "$work/initramfs" \
        -append "console=ttyAMA0 quiet panic=-1 expect=io_uring" < /dev/null > "$log" 2>&1 || true
    checks_of_machine arm64 "$log"
    check "arm64: all checks done, in $((SECONDS - began)) s" grep -qx end "$log.lines"
}

makes_image() {
    cargo run --quiet --bin uringstatic -- image --program "$program" --output "$work/image.tar"
    tar -xOf "$work/image.tar" index.json | grep -q '"architecture":"arm64"'
}

main "$@"
