#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A bad network between two nodes: 5 % loss, 20 ms, reordering, duplication, a small MTU.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [w0 10.9.0.1, fd09::1]---- tools/wan ----[w0 10.9.0.2, fd09::2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat ping
need_taltund
[ -x "$TT_TOOLS/wan" ] || skip_all "needs $TT_TOOLS/wan (make tools)"
ns_add a b
ta=$(ifname a) tb=$(ifname b)
wg_keys a b
check "the network starts" wan_start a w0 10.9.0.1/24,fd09::1/64 b w0 10.9.0.2/24,fd09::2/64

# config NS IFNAME OTHER N OUTER: node N of two.
config() {
	toml "$TT_WORK/$1.toml" "$2" "$1" "10.77.0.$4/24,fd77::$4/64" "listen_port = 51820"
	toml_peer "$TT_WORK/$1.toml" "$3" "10.77.0.$((3 - $4))/32,fd77::$((3 - $4))/128" \
		"endpoint = \"$5:51820\""
}

# 10 MB in eight streams: one alone would wait for its own losses most of the time.
ten_megabytes() {
	STREAM_TIMEOUT=60 streams "$1" "$2" "$3" 1310720 8
}

no_duplicates() {
	local out
	out=$(in_ns a ping -n -c 100 -i 0.01 -W 2 "$1")
	echo "$out"
	grep -q ' 0% packet loss' <<<"$out" && ! grep -q DUP <<<"$out"
}

config a "$ta" b 1 10.9.0.2
config b "$tb" a 2 10.9.0.1
wan_set delay-ms 10
wan_set loss 5
wan_set reorder 2
check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "a handshake gets through" wait_for 30 can_ping a 10.77.0.2
check "10 MB from a to b" ten_megabytes a b 10.77.0.2
check "10 MB from b to a" ten_megabytes b a fd77::1
less "packets were lost" 200 "$(wan_count lr.lost)"
less "and reordered" 50 "$(wan_count lr.reordered)"
equal "no session was lost with them" 0 "$(drops b "$tb" data_unknown_index)"

wan_set loss 0
wan_set reorder 0
wan_set delay-ms 0
wan_set dup 30
check "duplicates go no further" no_duplicates 10.77.0.2
check "2 MB with duplicates" stream a b 10.77.0.2 2000000
less "each was dropped as replayed" 100 "$(drops b "$tb" data_replayed)"
wan_set dup 0

wan_set mtu 1280
check "MTU 1280 under IPv4: full packets pass" wait_for 20 can_ping a 10.77.0.2 -M 'do' -s 1392
check "2 MB from a to b" stream a b 10.77.0.2 2000000
check "2 MB from b to a" stream b a 10.77.0.1 2000000
less "in fragments" 100 "$(wan_count lr.fragmented)"
in_ns a wg set "$ta" peer "$(pub b)" endpoint "[fd09::2]:51820"
in_ns b wg set "$tb" peer "$(pub a)" endpoint "[fd09::1]:51820"
check "MTU 1280 under IPv6: full packets pass" wait_for 20 can_ping a 10.77.0.2 -M 'do' -s 1392
check "2 MB from a to b" stream a b 10.77.0.2 2000000
check "2 MB from b to a" stream b a 10.77.0.1 2000000
finish
