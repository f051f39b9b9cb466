#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 32: a node answers from the address it was asked at; when that goes, from another; and
# without any route it waits, quietly, and goes on when there is one.
#
#   namespace c                                   namespace s, with two addresses
#   [v0 10.8.0.1, fd08::1]--------- veth ---------[v0 10.8.0.2, 10.8.0.3, fd08::2, fd08::3]
#   [tt..c 10.77.0.1] ~~~~~~~~~~~ tunnel ~~~~~~~~~~ [tt..s 10.77.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping socat tcpdump
ns_add c s
veth c v0 10.8.0.1/24,fd08::1/64 s v0 10.8.0.2/24,10.8.0.3/24,fd08::2/64,fd08::3/64
# Without it the kernel removes other addresses of a network together with the first.
in_ns s sysctl -qw net.ipv4.conf.all.promote_secondaries=1 net.ipv4.conf.v0.promote_secondaries=1
tc=$(ifname c) ts=$(ifname s)
wg_keys c s

node_config "$TT_WORK/s.toml" "$ts" s 10.77.0.2/24 51820
node_peer "$TT_WORK/s.toml" c 10.77.0.1/32
node_config "$TT_WORK/c.toml" "$tc" c 10.77.0.1/24 51820
node_peer "$TT_WORK/c.toml" s 10.77.0.2/32 'endpoint = "10.8.0.3:51820"'
check "server" tt_start s "$TT_WORK/s.toml"
check "client" tt_start c "$TT_WORK/c.toml"

# The client follows wherever the server's packets come from.
server_is() { [ "$(in_ns c wg show "$tc" endpoints | cut -f2)" = "$1" ]; }
seen() { in_ns c wg show "$tc" endpoints | cut -f2; }
# An answer that was on its way when the client turned elsewhere turns it back: ask again.
ask() {
	in_ns c wg set "$tc" peer "$(pub s)" endpoint "$1"
	can_ping c 10.77.0.2 && server_is "$1"
}
asked_at() {
	check "asked at $1" wait_for 20 ask "$1"
	check "TCP to the client" tcp_copy s c 10.77.0.1
	equal "answers came from $1" "$1" "$(seen)"
}
for address in 10.8.0.3 10.8.0.2 '[fd08::3]' '[fd08::2]'; do
	asked_at "$address:51820"
done

echo "case 32: the source address vanishes"

# Server's packets only from here on, so that it is the server that has to notice.
vanish() {
	local gone=$1 prefix=$2 other=$3 from
	asked_at "${4:-$gone}:51820"
	in_ns s ip addr del "$gone/$prefix" dev v0
	from=${EPOCHREALTIME/[.,]/}
	check "$gone vanishes: the server's next packets arrive" wait_for 20 can_ping s 10.77.0.1
	echo "        after $(((${EPOCHREALTIME/[.,]/} - from) / 1000)) ms"
	check "$gone vanishes: they come from another" wait_for 20 server_is "$other"
	check "TCP" tcp_copy s c 10.77.0.1
	addr_add s v0 "$gone/$prefix"
}
vanish 10.8.0.3 24 10.8.0.2:51820
vanish 10.8.0.2 24 10.8.0.3:51820
asked_at '[fd08::3]:51820'
in_ns s ip addr del fd08::3/64 dev v0
check "fd08::3 vanishes: the server's next packets arrive" wait_for 20 can_ping s 10.77.0.1
check "TCP" tcp_copy s c 10.77.0.1
addr_add s v0 fd08::3/64

# During a stream, the address it uses.
asked_at 10.8.0.3:51820
vanish_later() { sleep 0.3; in_ns s ip addr del 10.8.0.3/24 dev v0; }
vanish_later &
check "60 MB to the client while the address vanishes" tcp_copy s c 10.77.0.1 60000000
wait $!
addr_add s v0 10.8.0.3/24

echo "case 32: no route for a while"

# --- no route for a while ----------------------------------------------------------------------------

asked_at 10.8.0.3:51820
log=$(tt_log s "$ts")
engine=$(engine_pid "$(tt_pid s "$ts")")
check "the route goes" in_ns s ip route del 10.8.0.0/24
lines=$(wc -l <"$log") cpu=$(cpu_ms "$engine") from=${EPOCHREALTIME/[.,]/}
in_ns s ping -n -q -i 0.01 -w 6 10.77.0.1 >/dev/null 2>&1
elapsed=$(((${EPOCHREALTIME/[.,]/} - from) / 1000))
less "600 packets cost little CPU time (ms)" "$(($(cpu_ms "$engine") - cpu))" $((elapsed / 4))
less "at most a line of log a second" "$(($(wc -l <"$log") - lines))" $((elapsed / 1000 + 4))
cpu=$(cpu_ms "$engine") from=${EPOCHREALTIME/[.,]/}
sleep 3
less "and none without packets (ms)" "$(($(cpu_ms "$engine") - cpu))" 300
less "what was not sent is counted" 0 "$(drops s "$ts" tx_socket_error)"
check "the route comes back" in_ns s ip route add 10.8.0.0/24 dev v0 src 10.8.0.2
check "and the traffic" wait_for 20 can_ping s 10.77.0.1
check "TCP" tcp_copy s c 10.77.0.1

# The interface below goes down and up again: its routes are made anew by the kernel.
in_ns s ip link set v0 down
check_not "no traffic without the link" can_ping s 10.77.0.1
in_ns s ip link set v0 up
check "traffic with it" wait_for 20 can_ping s 10.77.0.1
finish
