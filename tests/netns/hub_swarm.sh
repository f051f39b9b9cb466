#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two hundred nodes on one hub over loopback: all of them at once, one after the other, gateways, a hub
# that restarts and one that is killed. scripts/bench.sh hub does the same with ten thousand.
. "$(dirname "$0")/lib.sh"

need_root
need_commands jq ip
[ -x "$TT_BIN/taltun-hub" ] || skip_all "no taltun-hub (make)"
[ -x "$TT_TOOLS/hub_swarm" ] || skip_all "no hub_swarm (make tools)"
ns_add h
mkdir "$TT_WORK/hub"

figure() { jq -r ".$1" "$TT_WORK/swarm.json" || echo none; }
swarm() {
	in_ns h timeout 150 "$TT_TOOLS/hub_swarm" --hub "$TT_BIN/taltun-hub" --dir "$TT_WORK/hub" \
		--port 4433 --nodes 200 --gateways 10 --netmaps 10 --joins 40 --gateway-joins 10 \
		>"$TT_WORK/swarm.json"
}

check "all are served, and every map is right" swarm
cat "$TT_WORK/swarm.json"
equal "nobody is left out" 0 "$(figure unserved)"
equal "each comes once at first" 200 "$(figure first_attempts)"
equal "every client joined" 40 "$(figure join_count)"
equal "every gateway reached all clients" 10 "$(figure gateway_join_count)"
equal "clients do not see each other" 0 "$(figure clients_seen_by_clients)"
equal "gateways' maps are the whole mesh" 0 "$(figure wrong_netmaps)"
equal "no update is refused" 0 "$(figure netmaps_refused)"
equal "no message is out of order" 0 "$(figure bad_messages)"
equal "no connection is lost unasked" 0 "$(figure lost)"
less "all are back after a restart, ms" "$(figure 'restart_max_ms | floor')" 60000
less "all are back after the hub was killed, ms" "$(figure 'killed_max_ms | floor')" 60000
# the hub's own memory is a part of it where there are few
less "memory for each, bytes" "$(figure 'last_bytes_per_node | floor')" 131072
finish
