#!/bin/sh
# Makes Debian packages of what was built: package.sh [amd64|arm64|armhf|host]... in target/debian.
#   amd64, arm64, armhf   the agent for boards: quantrack-agent
#   host                  the orchestrator for this machine, with the agents that were built: quantrack
# Build first: cargo build --release, and deploy/build-agent.sh for ARM. It needs dpkg-deb, binutils and no network.
set -eu
cd "$(dirname "$0")/.."
target_dir=${CARGO_TARGET_DIR:-target}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The same input makes the same packages.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
out=$target_dir/debian
[ $# -gt 0 ] || set -- amd64 arm64 armhf host

program() { # ARCHITECTURE: where its agent was built
    case $1 in
        amd64) echo "$target_dir/release/agent" ;;
        arm64) echo "$target_dir/aarch64-unknown-linux-musl/release/agent" ;;
        armhf) echo "$target_dir/armv7-unknown-linux-gnueabihf/release/agent" ;;
        *) echo "package.sh: unknown package $1: amd64, arm64, armhf or host" >&2; exit 2 ;;
    esac
}

built() { # FILE HINT
    [ -f "$1" ] || { echo "package.sh: $1 is missing: $2" >&2; exit 1; }
}

libc() { # PROGRAM: the C library that it was linked against
    echo "libc6 (>= $(readelf -V "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | cut -d_ -f2))"
}

control() { # PACKAGE ARCHITECTURE DEPENDS DESCRIPTION
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$version" "$2"
        [ -z "$3" ] || printf 'Depends: %s\n' "$3"
        printf 'Section: science\nPriority: optional\nMaintainer: quantrack developers <quantrack@localhost>\n'
        printf 'Installed-Size: %s\nDescription: %s\n' "$(du -ks "$root" | cut -f1)" "$4"
    } >"$root/DEBIAN/control"
}

script() { # NAME, with the text on standard input
    { echo '#!/bin/sh'; echo 'set -e'; cat; } >"$root/DEBIAN/$1"
    chmod 755 "$root/DEBIAN/$1"
}

pack() { # PACKAGE ARCHITECTURE
    install -D -m 644 -t "$root/usr/share/doc/$1" deploy/README.md LICENSE
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group --build "$root" "$out/$1_${version}_$2.deb"
}

agent() { # ARCHITECTURE
    from=$(program "$1") || exit
    built "$from" "cargo build --release -p quantrack-agent, or deploy/build-agent.sh"
    install -D -m 755 "$from" "$root/usr/bin/agent"
    install -D -m 644 -t "$root/lib/systemd/system" deploy/quantrack-agent.service deploy/quantrack-governor.service
    install -D -m 644 deploy/quantrack.sysusers "$root/usr/lib/sysusers.d/quantrack.conf"
    # Static but for amd64, which is built for the machine at hand.
    depends=
    [ "$1" != amd64 ] || depends=$(libc "$from")
    script postinst <<'END'
if [ -d /run/systemd/system ]; then
    systemd-sysusers /usr/lib/sysusers.d/quantrack.conf
    systemctl daemon-reload
    for unit in /lib/systemd/system/quantrack-*.service; do
        systemctl enable --quiet "${unit##*/}"
        systemctl restart "${unit##*/}" || true
    done
fi
END
    script prerm <<'END'
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    for unit in /lib/systemd/system/quantrack-*.service; do
        systemctl disable --quiet --now "${unit##*/}" || true
    done
fi
END
    # The key goes when everything is to go.
    script postrm <<'END'
if [ "$1" = purge ]; then
    rm -rf /etc/quantrack /var/lib/private/quantrack
    rm -f /var/lib/quantrack
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
END
    control quantrack-agent "$1" "$depends" "measures variants of models on this board for quantrack"
    pack quantrack-agent "$1"
}

host() {
    architecture=$(dpkg --print-architecture)
    orchestrator=$target_dir/release/orchestrator
    built "$orchestrator" "cargo build --release"
    install -D -m 755 "$orchestrator" "$root/usr/bin/orchestrator"
    "$orchestrator" manual --out "$root/usr/share"
    gzip -9n "$root"/usr/share/man/man1/*.1
    for name in amd64:x86_64 arm64:aarch64 armhf:armv7; do
        from=$(program "${name%:*}")
        [ ! -f "$from" ] || install -D -m 755 "$from" "$root/usr/share/quantrack/agents/agent-${name#*:}"
    done
    control quantrack "$architecture" "$(libc "$orchestrator")" "chooses quantization levels from latencies measured on boards"
    pack quantrack "$architecture"
}

mkdir -p "$out"
for package in "$@"; do
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    chmod 755 "$root"
    mkdir "$root/DEBIAN"
    if [ "$package" = host ]; then host; else agent "$package"; fi
    rm -rf "$root"
done
