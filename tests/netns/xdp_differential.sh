#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# case_20: the same outer packets by AF_XDP and by the sockets give the same inner packets, in the
# same order within a flow: VLAN tags, options, fragments, extension headers, checksums, padding,
# truncated and foreign packets. Where the two differ by design, tools/wire_play says so by name.
#
#   c  tools/wire_play [v0 10.8.0.2, fd08::2]---- veth ----[v0 10.8.0.1, fd08::1] taltund [tun] gw
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq
need_taltund
[ -x "$TT_TOOLS/wire_play" ] || skip_all "needs $TT_TOOLS/wire_play (make tools)"
seed=${TT_SEED:-20}
wg_keys gw c

nic() { status "gw$1" "$tun" ".datapath.interfaces[0]$2"; }
mac() { in_ns "$1" ip -j link show v0 | jq -r '.[0].address'; }
mode_is() { [ "$(nic "$1" .mode)" = "$2" ]; }

# run NAME MODE PATH: one playing; leaves $TT_WORK/NAME.{report,out}.
run() {
	local name=$1 mode=$2 path=$3 out=$TT_WORK/$1.out
	ns_add "gw$name" "c$name"
	# no ICMP of the host's own, no packet of its own through the tunnel
	veth "gw$name" v0 10.8.0.1/24,fd08::1/64 "c$name" v0 10.8.0.2/24,fd08::2/64
	tun=$(ifname "${name:0:1}")
	toml "$TT_WORK/$name.toml" "$tun" gw 10.77.0.1/24,fd77::1/64 "listen_port = 51820"
	toml_datapath "$TT_WORK/$name.toml" "mode = \"$mode\"" 'interfaces = ["v0"]' "$4"
	toml_peer "$TT_WORK/$name.toml" c 10.9.8.1/32,2020:2020:2020:2020:2020:2020:2020:2001/128
	check "$name: the node starts" tt_start "gw$name" "$TT_WORK/$name.toml" || return
	if [ "$path" = xdp ] && ! mode_is "$name" "$name copy" && ! mode_is "$name" "$name"; then
		skip_all "no $name AF_XDP here: $(nic "$name" .reason)"
	fi
	in_ns "c$name" timeout 60 "$TT_TOOLS/wire_play" "$(key_file c)" "$TT_WORK/gw.pub" v0 \
		"$(mac "gw$name")" "$(ns_name "gw$name")" "$tun" "$path" "$seed" \
		"$TT_WORK/$name.report" >"$out" 2>"$TT_WORK/$name-play.log" ||
		fail "$name: wire_play: $(cat "$TT_WORK/$name-play.log")"
	equal "$name: every shape arrives, or does not, as it should" "" \
		"$(awk 'NF == 4 && $3 != $4 { printf "%s: %d of %d, wanted %d; ", $1, $3, $2, $4 }' "$out")"
	for what in altered disordered twice; do
		equal "$name: $what" 0 "$(tail -n 1 "$out" | jq ".$what")"
	done
}

# What came, without shapes that are allowed to differ, by flow; the order within a flow stays.
common() {
	grep -vE "^($differing)\\." "$1" | LC_ALL=C sort -s -k 1,1
}

case_20() {
	local differing
	run socket socket socket 'workers = 2'
	run native xdp xdp 'workers = 2'
	equal "native: what was meant for the pinhole was redirected, and nothing else" \
		"$(tail -n 1 "$TT_WORK/native.out" | jq .for_the_pinhole)" "$(nic native .steering.redirected)"
	[ "$tt_failed" -eq 0 ] || return
	differing=$(awk 'NR == FNR { was[$1] = $3; next } NF == 4 && was[$1] != $3 { printf "%s%s", n++ ? "|" : "", $1 }' \
		"$TT_WORK/socket.out" "$TT_WORK/native.out")
	equal "they differ in" \
		"wrong-checksum|wrong-checksum-v6|no-checksum-v6|wrong-ip-checksum|foreign-vlan|other-mac|from-loopback" "$differing"
	less "inner packets that came by both" 100 "$(common "$TT_WORK/socket.report" | wc -l)"
	common "$TT_WORK/socket.report" >"$TT_WORK/socket.common"
	common "$TT_WORK/native.report" >"$TT_WORK/native.common"
	check "the same inner packets, and in every flow the same order" \
		cmp "$TT_WORK/socket.common" "$TT_WORK/native.common"
}

case_20
finish
