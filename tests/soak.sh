#!/usr/bin/env bash
# Soaks one server in a mixed load for so many minutes (10 unless told otherwise): prints memory,
# descriptors and latency every 5 seconds, says whether they are flat, and draws them. Exits with 1
# if memory or descriptors aren't flat, or a request that should succeed failed.
#
#   tests/soak.sh [MINUTES] [PICTURE]    the picture is target/soak/soak.svg unless told otherwise
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
picture=${2:-${CARGO_TARGET_DIR:-target}/soak/soak.svg}
cargo test --release --test attack -- --soak "$minutes" --svg "$picture"
