#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The portable fallback (make PLATFORM=posix: poll, sendto, a plain TUN) talks to itself and to the
# Linux build. It configures no interface: the test does.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1, fd08::1]---- veth ----[v0 10.8.0.2, fd08::2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat ping make
need_taltund
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
wg_keys a b
linux_bin=$TT_BIN
posix_bin=${TT_POSIX_BIN:-$TT_ROOT/build/variant-posix/bin}

build_posix() {
	[ -x "$posix_bin/taltund" ] ||
		make -C "$TT_ROOT" -j 2 PLATFORM=posix all >"$TT_WORK/build.txt" 2>&1 ||
		{ tail -n 20 "$TT_WORK/build.txt"; return 1; }
}

# node NS N OTHER OUTER: by UAPI, the test does what netcfg does on Linux.
node() {
	local ns=$1 n=$2 other=$3 ifname
	ifname=$(ifname "$ns")
	tt_start "$ns" "$ifname" || return 1
	in_ns "$ns" wg set "$ifname" listen-port 51820 private-key "$(key_file "$ns")" \
		peer "$(pub "$other")" allowed-ips "10.77.0.$((3 - n))/32,fd77::$((3 - n))/128" \
		endpoint "$4:51820" || return 1
	addr_add "$ns" "$ifname" "10.77.0.$n/24,fd77::$n/64"
	in_ns "$ns" ip link set "$ifname" up
}

traffic() {
	check "ping" wait_for 20 can_ping b 10.77.0.1
	check "ping over IPv6" wait_for 20 can_ping a fd77::2
	check "full-size packets" can_ping a 10.77.0.2 -M 'do' -s 1392
	check "TCP from a to b" stream a b 10.77.0.2 4000000
	check "TCP from b to a, IPv6" stream b a fd77::1 4000000
	check "four streams at once" streams a b 10.77.0.2 500000 4
}

check "it builds" build_posix || finish
TT_BIN=$posix_bin
check "a starts" node a 1 b 10.8.0.2
check "b starts" node b 2 a 10.8.0.1
traffic
check "SIGTERM ends it" tt_stop b "$(ifname b)"
check_not "with its interface" in_ns b ip link show "$(ifname b)"

echo "with the Linux build, over IPv6:"
TT_BIN=$linux_bin
check "b starts" node b 2 a fd08::1
in_ns a wg set "$(ifname a)" peer "$(pub b)" endpoint "[fd08::2]:51820"
traffic

echo "with a file:"
tt_stop b "$(ifname b)"
TT_BIN=$posix_bin
toml "$TT_WORK/b.toml" "$(ifname b)" b 10.77.0.2/24 "listen_port = 51820"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32 'endpoint = "10.8.0.1:51820"' "keepalive = 1"
if tt_start b "$TT_WORK/b.toml" >"$TT_WORK/posix-start.txt" 2>&1; then
	pass "b starts"
	check "ping" wait_for 20 can_ping a 10.77.0.2
else
	skip "addresses from a file: $(grep -o 'error=.*' "$(tt_log b "$(ifname b)")" | head -n 1)"
fi
finish
