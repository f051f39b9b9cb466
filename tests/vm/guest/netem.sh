#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the kernel's netem does to packets on their way: late, lost, out of order, twice, with bits
# flipped, all of it at once. Streams arrive byte by byte, sessions are replaced meanwhile, nothing
# that came twice gets in, and nothing is dropped for having been overtaken. The other end is the
# kernel's WireGuard.
#
#   t [v0 10.8.1.1, fd08:1::1]--veth--[m0] m, a router with netem both ways [m1]--veth--[v0 10.8.2.2, fd08:2::2] g
#   [tt..t 10.77.0.1, fd77::1] ~~~~~~~~~~~~~~~~~~ WireGuard ~~~~~~~~~~~~~~~~~~ [tt..g 10.77.0.2, fd77::2]
#
. "$(dirname "$0")/../../netns/lib.sh"
. "$(dirname "$0")/../../netns/support/traffic.sh"

need_root
need_taltund
need_commands wg socat jq ping tc
bytes=${TT_VM_BYTES:-300000}
wg_keys t g
ns_add t m g
in_ns m ip link add p0 type wireguard 2>/dev/null || skip_all "the kernel has no WireGuard"
in_ns m ip link del p0
veth t v0 10.8.1.1/24,fd08:1::1/64 m m0 10.8.1.9/24,fd08:1::9/64
veth g v0 10.8.2.2/24,fd08:2::2/64 m m1 10.8.2.9/24,fd08:2::9/64
router m
in_ns t ip route add 10.8.2.0/24 via 10.8.1.9
in_ns t ip route add fd08:2::/64 via fd08:1::9
in_ns g ip route add 10.8.1.0/24 via 10.8.2.9
in_ns g ip route add fd08:1::/64 via fd08:2::9
in_ns m tc qdisc add dev m0 root netem delay 1ms 2>/dev/null || skip_all "the kernel has no netem"
tt=$(ifname t) tg=$(ifname g)

# netem [OPTION]...: both ways. Made anew each time: a change of netem keeps the options not named.
netem() {
	local nic
	for nic in m0 m1; do
		in_ns m tc qdisc del dev "$nic" root 2>/dev/null
		[ $# -eq 0 ] || in_ns m tc qdisc add dev "$nic" root netem limit 2000 "$@" || return 1
	done
}

handshakes() { status t "$tt" '.peers[0].handshakes'; }
more_handshakes() { [ "$(handshakes)" -gt "$1" ]; }
by_xdp() { status t "$tt" "[.datapath.interfaces[0].queues[].$1] | add // 0"; }
handshake_time() { in_ns g wg show "$tg" latest-handshakes | cut -f2; }
newer_handshake() { [ "$(handshake_time)" -gt "$1" ]; }

# One stream each way; what the other end acknowledges meets netem as well.
streams() {
	check "$1: $bytes bytes from t" tcp_copy t g 10.77.0.2 "$bytes"
	check "$1: $bytes bytes from g, inner IPv6" tcp_copy g t fd77::1 "$bytes"
}

# train FILE: 100 pings close to each other. Answers that come twice are marked by ping, which waits
# for the last ones no longer than twice its longest: the whole is tried again where a machine stood still.
train() {
	in_ns t ping -n -c 100 -i 0.002 -W "$TT_PATIENCE" 10.77.0.2 >"$1"
	cat "$1"
	grep -q ' 0% packet loss' "$1" && ! grep -q DUP "$1"
}

# overtaken FILE: how many answers of what ping printed came after a later one.
overtaken() {
	awk 'match($0, /icmp_seq=[0-9]+/) {
		n = substr($0, RSTART + 9, RLENGTH - 9) + 0
		if (n < last) late++; else last = n
	} END { print late + 0 }' "$1"
}

# --- one thing after the other -----------------------------------------------------------------------

out_of_order() {
	local label="$1, out of order" before
	check "$label: netem takes it" netem delay 60ms 30ms reorder 25% 50% || return
	before=$(drops t "$tt" data_replayed)
	check "$label: every answer once" wait_for 3 train "$TT_WORK/train"
	less "$label: they were" 2 "$(overtaken "$TT_WORK/train")"
	streams "$label"
	equal "$label: none taken for a replay" "$before" "$(drops t "$tt" data_replayed)"
	equal "$label: none too old" 0 "$(drops t "$tt" data_too_old)"
}

twice() {
	local label="$1, twice" before
	check "$label: netem takes it" netem delay 2ms duplicate 20% || return
	before=$(drops t "$tt" data_replayed)
	check "$label: every answer once" wait_for 3 train "$TT_WORK/train"
	less "$label: the second ones are dropped as replayed" 4 \
		$(($(drops t "$tt" data_replayed) - before))
	streams "$label"
}

# Either end asks again for what was lost of a handshake.
new_sessions() {
	local label=$1 endpoint=$2 before
	before=$(handshakes)
	in_ns g ip link set "$tg" down
	in_ns g ip link set "$tg" up
	addr_add g "$tg" fd77::2/64
	check "$label: the kernel makes a session anew" wait_for 30 can_ping g 10.77.0.1
	check "$label: taltund counts it" wait_for 5 more_handshakes "$before"
	in_ns t wg set "$tt" peer "$(pub g)" remove
	in_ns t wg set "$tt" peer "$(pub g)" allowed-ips 10.77.0.2/32,fd77::2/128 endpoint "$endpoint"
	check "$label: taltund makes a session anew" wait_for 30 can_ping t 10.77.0.2
	streams "$label, after them"
}

# The session is replaced at 120 s, while it carries packets and either end may lose any of them.
rekey_by_age() {
	local label="$1, rekey by age" before pid unknown
	check "$label: netem takes it" netem delay 20ms 5ms loss 5% duplicate 2% || return
	before=$(handshake_time)
	unknown=$(drops t "$tt" data_unknown_index)
	bg_ns t "$TT_WORK/age-ping" ping -n -i 0.2 10.77.0.2
	pid=$BG_PID
	check "$label: it comes" wait_for $((150 / TT_PATIENCE + 15)) newer_handshake "$before"
	streams "$label"
	kill -INT "$pid" 2>/dev/null
	check_not "$label: no answer came twice" grep -q DUP "$TT_WORK/age-ping"
	equal "$label: no packet of an unknown session" "$unknown" "$(drops t "$tt" data_unknown_index)"
}

in_mode() {
	local mode=$1 endpoint
	endpoint=$([ "$2" = 4 ] && echo 10.8.2.2:51820 || echo '[fd08:2::2]:51820')
	netem delay 1ms
	node_config "$TT_WORK/t.toml" "$tt" t 10.77.0.1/24,fd77::1/64 51820
	printf '[datapath]\nmode = "%s"\n' "$mode" >>"$TT_WORK/t.toml"
	node_peer "$TT_WORK/t.toml" g 10.77.0.2/32,fd77::2/128 "endpoint = \"$endpoint\""
	check "$mode: taltund starts" tt_start t "$TT_WORK/t.toml" || return
	in_ns g ip link add "$tg" mtu 1420 type wireguard
	addr_add g "$tg" 10.77.0.2/24,fd77::2/64
	in_ns g ip link set "$tg" up
	in_ns g wg set "$tg" listen-port 51820 private-key "$(key_file g)" peer "$(pub t)" \
		allowed-ips 10.77.0.1/32,fd77::1/128
	check "$mode: ping" wait_for 15 can_ping t 10.77.0.2

	check "$mode, lost: netem takes it" netem delay 5ms loss 3%
	streams "$mode, lost"
	new_sessions "$mode, lost" "$endpoint"
	out_of_order "$mode"
	twice "$mode"
	check "$mode, bits flipped: netem takes it" netem delay 2ms corrupt 2%
	streams "$mode, bits flipped"
	[ "$mode" != socket ] || rekey_by_age "$mode"
	check "$mode, all of it: netem takes it" \
		netem delay 8ms 4ms loss 1% duplicate 2% corrupt 0.5% reorder 10% 50%
	streams "$mode, all of it"
	new_sessions "$mode, all of it" "$endpoint"

	if [ "$mode" = xdp ]; then
		less "xdp: received by AF_XDP" 500 "$(by_xdp rx_packets)"
		less "xdp: sent by AF_XDP" 500 "$(by_xdp tx_packets)"
	fi
	check "$mode: netem lets go" netem
	check "$mode: every answer once" wait_for 3 train "$TT_WORK/train"
	echo "        dropped: $(status t "$tt" '.drops | tostring')"
	equal "$mode: no engine died" 0 "$(status t "$tt" .restarts)"
	check "$mode: taltund stops" tt_stop t "$tt"
	in_ns g ip link del "$tg"
}

echo "  kernel $(uname -r)"
in_mode socket 4
in_mode xdp 6
finish
