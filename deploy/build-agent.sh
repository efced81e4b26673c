#!/bin/sh
# Builds static, stripped agents for the boards: build-agent.sh [aarch64|armv7]...
# Each needs a C compiler for the cryptography of its connections (Debian: apt install gcc-aarch64-linux-gnu
# libc6-dev-arm64-cross, gcc-arm-linux-gnueabihf libc6-dev-armhf-cross); aarch64 is linked by Rust's own linker.
set -eu
cd "$(dirname "$0")/.."
target_dir=${CARGO_TARGET_DIR:-target}
limit_bytes=9437184
[ $# -gt 0 ] || set -- aarch64 armv7
for board in "$@"; do
    case $board in
        aarch64) triple=aarch64-unknown-linux-musl ;;
        armv7) triple=armv7-unknown-linux-gnueabihf ;;
        *) echo "build-agent.sh: unknown board $board: aarch64 or armv7" >&2; exit 2 ;;
    esac
    cargo build --locked --release -p quantrack-agent --bin agent --target "$triple"
    binary=$target_dir/$triple/release/agent
    bytes=$(wc -c <"$binary")
    echo "$binary: $bytes bytes"
    [ "$bytes" -lt "$limit_bytes" ] || { echo "build-agent.sh: more than $limit_bytes bytes" >&2; exit 1; }
done
