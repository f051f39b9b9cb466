#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two hundred nodes on one hub over loopback: all of them at once, one after the other, gateways, a hub
# that restarts and one that is killed; scripts/bench.sh hub does the same with ten thousand. And who has
# left before its turn came costs a hub nothing.
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
# the hub's own memory is a part of it where there are few; a sanitizer's is another matter
grep -qa __asan_init "$TT_BIN/taltun-hub" || less "memory for each, bytes" "$(figure 'last_bytes_per_node | floor')" 131072

# As after a storm: the hub was busy for so long that they gave up.
HUB=$TT_BIN/taltun-hub D=$TT_WORK/busy
away() { in_ns h "$HUB" status --json --dir "$D" | jq ".connections.turned_away.left"; }
all_away() { [ "$(away)" = 50 ]; }
"$HUB" init --dir "$D" --name 127.0.0.1:4434 >/dev/null
printf '[hub]\nlisten = ["127.0.0.1:4434"]\n[stun]\nudp_port = 0\n[relay]\nudp_port = 0\n' >"$D/hub.toml"
bg_ns h "$TT_WORK/busy.log" "$HUB" serve --dir "$D"
check "a hub serves" wait_for 10 in_ns h "$HUB" status --dir "$D"
kill -STOP "$BG_PID"
# shellcheck disable=SC2016 # for the shell in there
in_ns h bash -c 'for i in {1..50}; do exec 3<>/dev/tcp/127.0.0.1/4434 && printf junk >&3; exec 3>&-; done'
kill -CONT "$BG_PID"
check "who has left is turned away before any work" wait_for 10 all_away
finish
