#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What is said on the node goes before what its hub says: wg(8) on the interface of a mesh, peers of
# the map removed by hand, and a [[peer]] that the map has too.
#
#   h (hub) --- i (internet) --- gw, n (nodes, public)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
need_commands wg
NATS_DELAY_MS=${NATS_DELAY_MS:-20}
check "an internet" nats_start
check "a hub" hub_start
for n in gw n; do
	check "node $n" node $n
done
check "the gateway enrols" enroll gw --role gateway
check "the node enrols" enroll n
reaches() { can_ping n "$(node_ip gw)"; }
check "the node reaches the gateway" wait_for 5 reaches

# One packet, right after the start, before anything was heard of the hub.
first() { in_ns n ping -n -c 1 -W 3 "$(node_ip gw)"; }
forget_map() { in_ns n rm /var/lib/taltun/tt0.map /var/lib/taltun/tt0.state; }
check "started anew, without a map: the first packet waits for it" \
	eval 'node_down n && forget_map && node_up n && first'
check "with the map that was kept" eval 'node_down n && node_up n && first'
nobody() { in_ns n ping -n -c 1 -W 5 10.90.200.200; }
check_not "for nobody none waits" nobody
CONFIG=/etc/taltun/tt0.toml
key=$(in_ns gw wg show tt0 public-key)
engine=$(node_engine n)
for p in $(node_pids n); do
	[ "$(cat "/proc/$p/comm")" != taltun-monitor ] || monitor=$p
done
named() { in_ns n wg show tt0 peers | grep -qF "$key"; }
called() { [ "$(st n '[.peers[].name] | sort | join(" ")')" = "$1" ]; }
logged() { in_ns n cat /run/taltun/tt0.log | grep -q "event=$1"; }

check "wg show names the hub's peer" named
in_ns n wg showconf tt0 >"$TT_WORK/shown"
check "wg syncconf with what is there" in_ns n wg syncconf tt0 "$TT_WORK/shown"
check "changes nothing" wait_for 3 reaches

check "wg set ... remove" in_ns n wg set tt0 peer "$key" remove
check_not "it is gone" named
check "the gateway is restarted" eval 'node_down gw && node_up gw'
check "it is back when the hub says something new of it" wait_for 6 reaches
check "wg set ... remove, again" in_ns n wg set tt0 peer "$key" remove
kill -HUP "$monitor"
check "it is back after a reload" wait_for 6 reaches

# Within 20 ms of the last handshake the gateway drops another one, as WireGuard says; it would come
# again after 5 s.
settled() { sleep 0.1; }
in_ns n cp $CONFIG "$TT_WORK/before"
settled
printf '\n[[peer]]\nname = "mine"\npublic_key = "%s"\nallowed_ips = ["%s/32"]\nendpoint = "%s:%s"\n' \
	"$key" "$(node_ip gw)" "$(reflexive gw)" "$(in_ns gw wg show tt0 listen-port)" |
	in_ns n tee -a $CONFIG >/dev/null
kill -HUP "$monitor"
check "a [[peer]] that the map has: the configuration wins" wait_for 5 called mine
check "it is reached" wait_for 6 reaches
in_ns n cp "$TT_WORK/before" $CONFIG
settled
kill -HUP "$monitor"
check "without it the map's is used again" wait_for 5 called gw
check "it is reached" wait_for 6 reaches

printf '\n[[peer]]\nname = "other"\npublic_key = "%s"\nallowed_ips = ["%s/32"]\n' \
	"$(wg genkey | wg pubkey)" "$(node_ip gw)" | in_ns n tee -a $CONFIG >/dev/null
kill -HUP "$monitor"
check "an address that a [[peer]] claims" wait_for 5 logged mesh.prefix_claimed
both() { called "gw other"; }
check "both are there" wait_for 3 both
check_not "the map's peer does not have it" reaches
equal "the engine is the same" "$engine" "$(node_engine n)"
mesh_finish
