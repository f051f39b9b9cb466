#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The metrics of a node in a hub's mesh: the hub's side of it, paths, and readiness before, with and
# after the hub.
#
#   h (hub) --- i (internet) --- gw, n (nodes, public)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
need_commands curl
export TALTUN_METRICS_LISTEN=127.0.0.1:9586
page=$TT_WORK/page
scrape() { in_ns n curl -sS -m 30 -o "$page" http://127.0.0.1:9586/metrics; }
value() { awk -v s="$1" 'index($0, s) == 1 { print $NF; exit }' "$page"; }
# says N SERIES
says() { scrape && [ "$(value "$2")" = "$1" ]; }
# ready STATUS
ready() {
	[ "$(in_ns n curl -s -m 30 -o "$TT_WORK/body" -w '%{http_code}' http://127.0.0.1:9586/readyz)" = "$1" ]
}
has_path() { scrape && grep -q '^taltun_peer_path_info{peer="gw",.*path="direct"} 1$' "$page"; }
reaches() { can_ping n "$(node_ip gw)"; }

check "an internet" nats_start
check "a hub" hub_start
for n in gw n; do
	check "node $n" node $n
	in_ns $n ip link set lo up
done
check "the gateway enrols" enroll gw --role gateway
check "the node enrols" enroll n
check "the node reaches the gateway" wait_for 20 reaches
check "the hub is connected" wait_for 20 says 1 taltun_hub_connected
equal "its state" 1 "$(value 'taltun_hub_state{state="up"}')"
check "the map has the gateway" wait_for 20 says 1 taltun_hub_map_peers
check "the path to it" wait_for 20 has_path
less "the map's end lies ahead" "$(date +%s)" "$(value taltun_hub_map_expiry_timestamp_seconds)"
less "the certificate's too" "$(date +%s)" "$(value taltun_certificate_expiry_timestamp_seconds)"
less "the path's MTU" 1000 "$(value 'taltun_peer_mtu_bytes{peer="gw"')"
check "ready" ready 200
equal "the names are those of the golden file" "$(cat "$TT_ROOT/tests/golden/metrics-node.txt")" \
	"$(sed -n 's/^# TYPE //p' "$page")"
if command -v promtool >/dev/null; then
	equal "promtool has nothing to say" "" "$(promtool check metrics <"$page" 2>&1)"
else
	skip "no promtool"
fi

hub_kill
check "the hub is lost" wait_for 30 says 0 taltun_hub_connected
check "once connected, the node stays ready" ready 200
check "the node is started anew" eval 'node_down n && node_up n'
check "not ready before the hub was connected" wait_for 20 ready 503
equal "it says why" "the hub was not connected yet" "$(cat "$TT_WORK/body")"
check "it reaches the gateway all the same" wait_for 20 reaches
check "the hub again" hub_serve
check "ready" wait_for 90 ready 200
mesh_finish
