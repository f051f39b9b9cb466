#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a node has kept, and what it does with it while the hub is away: copies of the map that are
# damaged, another's, of a later version or too old; a disk that is full; one certificate in two
# places; a hub that is killed while it relays; a peer that is dead.
#
#   h (hub) --- i (internet) --- gw, n, m (nodes, public; m is a copy of n)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
need_commands python3
CLIENT=$TT_TOOLS/hub_client
[ -x "$CLIENT" ] || skip_all "needs $CLIENT (make tools)"
MAP=/var/lib/taltun/tt0.map CRT=/var/lib/taltun/tt0.hub/node.crt

check "an internet" nats_start
check "a hub" hub_start
for n in gw n m; do
	check "node $n" node $n
done
check "the gateway enrols" enroll gw --role gateway
check "the node enrols" enroll n
G=$(node_ip gw)
reaches() { can_ping n "$G"; }
up() { [ "$(st "${1:-n}" .hub.state)" = up ]; }
direct() { path_is n gw direct; }
names() { st n '[.peers[].name] | sort | join(" ")'; }
log() { in_ns n cat /run/taltun/tt0.log; }
logged() { log | grep -q "event=$1"; }
nudge() { # the network has changed: the hub is looked for at once
	in_ns "$1" ip addr add 192.0.2.77/32 dev e0
	in_ns "$1" ip addr del 192.0.2.77/32 dev e0
}
check "the node sees the gateway" wait_for 5 reaches
check "directly" wait_for 8 direct
kept() { in_ns n test -s "$MAP"; }
check "the map is kept" wait_for 10 kept
key=$(in_ns n cat /etc/taltun/tt0.key)

# --- copies of the map ------------------------------------------------------------------------------

variant() { # KIND: the node starts with it
	node_down n
	in_ns n python3 "$TT_ROOT/tests/netns/support/map_variant.py" "$1" "$TT_WORK/map" "$MAP" <<<"$key" || return 1
	in_ns n rm -f /run/taltun/tt0.log
	node_up n
}
hub_stop
node_down n
in_ns n cat "$MAP" >"$TT_WORK/map"
equal "mode of the map" 600 "$(in_ns n stat -c %a "$MAP")"
for kind in flipped:cache_forged truncated:cache_truncated random:cache newer:cache_version; do
	check "${kind%:*}: the node starts" variant "${kind%:*}"
	check "${kind%:*}: it says what is wrong" wait_for 5 logged "mesh.map_damaged why=${kind#*:}"
	equal "${kind%:*}: nobody is taken from it" "" "$(names)"
done
check "empty: the node starts" variant empty
equal "empty: nobody is taken from it" "" "$(names)"
check "too old: the node starts" variant expired
check "too old: it says so" wait_for 5 logged mesh.map_expired
equal "too old: nobody is taken from it" "" "$(names)"
in_ns gw cat "$MAP" >"$TT_WORK/map.gw"
node_down n
in_ns n cp "$TT_WORK/map.gw" "$MAP"
check "another node's: the node starts" node_up n
check "another node's: it says what is wrong" wait_for 5 logged "mesh.map_damaged why=cache_forged"
equal "another node's: nobody is taken from it" "" "$(names)"
check "its own: the node starts" variant same
check "its own: reaches the gateway" wait_for 8 reaches
check "a damaged one again" variant flipped
check "the hub is there" hub_serve
nudge n
nudge gw
check "the map comes anew" wait_for 15 reaches
check "directly" wait_for 8 direct

# --- a disk that is full ----------------------------------------------------------------------------

in_ns n sh -c "head -c 20000000 /dev/zero >/var/lib/taltun/filler 2>/dev/null; :"
before=$(in_ns n sha256sum "$MAP" "$CRT")
check "case 39: the hub has another gateway" in_ns h "$CLIENT" enroll \
	"$(hub token create --name late --role gateway)" "$TT_WORK/late"
sees_late() { [ "$(names)" = "gw late" ]; }
check "case 39: the node sees it" wait_for 5 sees_late
node_down n
check "case 39: stopped and started" node_up n
check "case 39: reaches the gateway" wait_for 5 reaches
check "case 39: connected" wait_for 10 up
equal "case 39: what was kept is whole" "$before" "$(in_ns n sha256sum "$MAP" "$CRT")"
equal "case 39: nothing beside it but the filler" "filler tt0.hub tt0.map tt0.state" \
	"$(in_ns n ls /var/lib/taltun | grep -v '\.key$' | paste -sd' ')"
check "case 39: it has said so" logged mesh.not_kept
in_ns n rm /var/lib/taltun/filler
kept_anew() { [ "$(in_ns n sha256sum "$MAP" "$CRT")" != "$before" ]; }
node_down n
check "case 39: with room again it is kept, when it stops at the latest" kept_anew
check "case 39: the other gateway is gone" hub node revoke late
check "the node starts" node_up n
check "and reaches the gateway" wait_for 5 reaches
check "connected" wait_for 10 up

# --- one certificate, two daemons ---------------------------------------------------------------------

replaced() { hub status --json | jq .connections.closed.replaced; }
before=$(replaced)
in_ns n tar -C / -cf - var/lib/taltun etc/taltun | in_ns m tar -C / -xf -
check "case 21: a copy of the node starts elsewhere" node_up m
check "case 21: the newer one is connected" wait_for 10 up m
says() { st n .hub.why | grep -q 'connected again'; }
check "case 21: the older one is not, and says why" wait_for 5 says
sleep 8
equal "case 21: they do not take turns" $((before + 1)) "$(replaced)"
check "case 21: the newer one is connected still" up m
check "case 21: the copy stops" node_down m
nudge n
check "case 21: the older one is connected again" wait_for 10 up
# the gateway has a session with the copy: WireGuard looks for a new one after 15 s without an answer
check "case 21: and reaches the gateway" wait_for 30 reaches

# --- the hub is killed while it relays ------------------------------------------------------------------

check "directly" wait_for 15 direct
events n
in_ns n nft add table inet tt_block
in_ns n nft 'add chain inet tt_block in { type filter hook input priority 0; }'
in_ns n nft add rule inet tt_block in ip saddr "${nats_addr[gw]}" drop
relayed() { reaches && path_is n gw relay_udp && path_is gw n relay_udp; }
check "no direct path: by the relay" wait_for 15 relayed
told() { grep -Eq "\"event\": ?\"$1\"" "$TT_WORK/events.n"; }
check "which is told" wait_for 5 told path
hub_kill
check "the hub is killed, and starts again" hub_serve
check "the relay is back" wait_for 20 relayed
check "that it went is told" told hub_down
check "that it came is told" told hub_up

# --- a dead peer ------------------------------------------------------------------------------------------

# WireGuard waits for 15 s before it doubts a session, and for 5 s for an answer then.
if [ -n "${TT_ALL:-}" ]; then
	in_ns n nft flush chain inet tt_block in
	nudge n
	check "directly" wait_for 15 direct
	check "the gateway dies" node_kill gw
	offline() { reaches; told peer_offline; }
	check "the gateway is offline" wait_for 60 offline
	equal "and why is told" "no answer to a handshake for 5 s" \
		"$(grep peer_offline "$TT_WORK/events.n" | head -n 1 | jq -r .why)"
	check "the gateway is back" node_up gw
	check "and answers" wait_for 15 reaches
fi
mesh_finish
