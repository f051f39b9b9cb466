#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Thirty peers on one gateway.
#
#   n1 [10.77.1.1]~~~~.                           .~~~~[10.77.1.30] n30
#      [v0 10.8.1.1]--[p1   br0 10.8.0.1 gw   p30]--[v0 10.8.1.30]
#                           [tun 10.77.0.1]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat ping
need_taltund
peers=30
nodes=$(seq -f n%g "$peers")
ns_add gw
in_ns gw ip link add br0 type bridge
addr_add gw br0 10.8.0.1/16
in_ns gw ip link set br0 up
g=$(ifname g)
# shellcheck disable=SC2086 # a list
wg_keys gw $nodes

toml "$TT_WORK/gw.toml" "$g" gw 10.77.0.1/16,fd77::1/64 "listen_port = 51820"
toml_datapath "$TT_WORK/gw.toml" "forward_between_peers = true"
for i in $(seq "$peers"); do
	toml_peer "$TT_WORK/gw.toml" "n$i" "10.77.1.$i/32,fd77::1:$i/128"
done
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
gw_before=$(rss_kb "$(tt_pid gw "$g")")

node_up() {
	local i=$1 ns=n$1
	ns_add "$ns"
	veth gw "p$i" "" "$ns" v0 "10.8.1.$i/16" && in_ns gw ip link set "p$i" master br0 || return 1
	toml "$TT_WORK/$ns.toml" "t$i" "$ns" "10.77.1.$i/16,fd77::1:$i/64"
	toml_datapath "$TT_WORK/$ns.toml" "workers = 1"
	toml_peer "$TT_WORK/$ns.toml" gw 10.77.0.0/16,fd77::/64 'endpoint = "10.8.0.1:51820"'
	tt_start "$ns" "$TT_WORK/$ns.toml"
}

# ping_all ADDRESS_OF: each node pings what ADDRESS_OF prints for its number, all at once.
ping_all() {
	local i pids=() bad=0
	for i in $(seq "$peers"); do
		wait_for 15 can_ping "n$i" "$("$1" "$i")" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || bad=$((bad + 1))
	done
	echo "$bad did not get through"
	[ "$bad" -eq 0 ]
}

gateway() { echo 10.77.0.1; }
gateway6() { echo fd77::1; }
neighbour() { echo "10.77.1.$(($1 % peers + 1))"; }
opposite() { echo "fd77::1:$((($1 + peers / 2 - 1) % peers + 1))"; }

started=0
for i in $(seq "$peers"); do
	node_up "$i" && started=$((started + 1))
done
equal "all nodes start" $peers $started
check "all reach the gateway" ping_all gateway
check "over IPv6" ping_all gateway6
check "each reaches its neighbour through it" ping_all neighbour
check "and the node opposite, over IPv6" ping_all opposite
equal "thirty peers are online" $peers "$(status gw "$g" '[.peers[] | select(.status == "online")] | length')"
equal "one handshake each" $peers "$(status gw "$g" '[.peers[].handshakes] | add')"
check "TCP from the first to the last" stream n1 n30 10.77.1.30 5000000
check "ten streams to the gateway at once" streams n2 gw 10.77.0.1 500000 10
equal "nothing met an unknown session" 0 "$(drops gw "$g" data_unknown_index)"
less "their sessions cost little memory, KiB" $(($(rss_kb "$(tt_pid gw "$g")") - gw_before)) 16384

in_ns gw wg set "$g" peer "$(pub n7)" remove
check_not "a removed peer is out" can_ping n7 10.77.0.1
check "the others stay" can_ping n8 10.77.0.1
check "and reach each other" can_ping n9 10.77.1.10
finish
