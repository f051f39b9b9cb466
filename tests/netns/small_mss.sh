#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A TCP stream of tiny segments: one packet of 64 KiB from the kernel becomes hundreds.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]---- veth ----[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat ping tcpdump
need_taltund
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
ta=$(ifname a) tb=$(ifname b)
wg_keys a b

for n in 1 2; do
	me=$([ $n = 1 ] && echo a || echo b) other=$([ $n = 1 ] && echo b || echo a)
	toml "$TT_WORK/$me.toml" "$(ifname "$me")" "$me" "10.77.0.$n/24,fd77::$n/64" "listen_port = 51820"
	toml_peer "$TT_WORK/$me.toml" "$other" "10.77.0.$((3 - n))/32,fd77::$((3 - n))/128" \
		"endpoint = \"10.8.0.$((3 - n)):51820\""
	check "$me starts" tt_start "$me" "$TT_WORK/$me.toml"
done
check "a reaches b" wait_for 20 can_ping a 10.77.0.2

# The receiver announces what it takes: the sender cuts its data to it.
in_ns b ip route replace 10.77.0.1/32 dev "$tb" advmss 88
in_ns b ip -6 route del fd77::1/128 dev "$tb"
in_ns b ip -6 route add fd77::1/128 dev "$tb" advmss 88

# The segments of the largest packet that a's kernel gave away.
largest_read() {
	awk '/> 10.77.0.2|> fd77::2/ && match($0, /: tcp [0-9]+/) {
		n = substr($0, RSTART + 6, RLENGTH - 6) + 0; if (n > max) max = n
	} END { print int(max / 88) }' "$TT_WORK/tun.txt"
}

bg_ns a "$TT_WORK/tun.txt" tcpdump -n -l -q -i "$ta" tcp
watcher=$BG_PID
wait_for 20 grep -q 'listening on' "$TT_WORK/tun.txt"
before=$(datapath a "$ta" tun_rx_packets)
check "4 MB over IPv4" stream a b 10.77.0.2 4000000
packets=$(($(datapath a "$ta" tun_rx_packets) - before))
less "in segments of 88 bytes at most" $((4000000 / 88)) "$packets"
before=$(datapath a "$ta" tun_rx_packets)
check "4 MB over IPv6" stream a b fd77::2 4000000
less "in segments as small" $((4000000 / 88)) "$(($(datapath a "$ta" tun_rx_packets) - before))"
kill_pids 2 "$watcher"
if [ "$(status a "$ta" .datapath.tun_tso)" = true ]; then
	less "hundreds of them in one read" 200 "$(largest_read)"
else
	skip "this kernel's TUN has no TSO"
fi
check "the way back is as before" stream b a 10.77.0.1 4000000
for reason in tun_bad_vnet_hdr tx_inner_invalid tx_too_big; do
	equal "no $reason" 0 "$(drops a "$ta" $reason)"
done
for reason in data_bad_auth data_too_old inner_invalid; do
	equal "no $reason" 0 "$(drops b "$tb" $reason)"
done
finish
