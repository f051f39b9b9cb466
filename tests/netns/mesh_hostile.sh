#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 27, end to end: a hub that means ill (tests/tools/hostile_hub.c) takes the place of the real
# one. Whatever it says, two nodes that have a direct tunnel keep it, their engines live on, and
# neither processor time nor memory nor the log grows past a bound.
#
#   h (hub, then the hostile one) --- i (internet) --- gw, n (nodes, public)
#
# TT_SCRIPTS takes only these scripts of it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
HOSTILE=$TT_TOOLS/hostile_hub
[ -x "$HOSTILE" ] || skip_all "needs $HOSTILE (make tools)"
SECONDS_OF=2
sanitized() { grep -qa __asan_init "$TT_BIN/taltund"; }

check "an internet" nats_start
check "a hub" hub_start
for n in gw n; do
	check "node $n" node $n
done
check "the gateway enrols" enroll gw --role gateway
check "the node enrols" enroll n
check "the node sees the gateway" wait_for 5 can_ping n "$(node_ip gw)"
check "directly" wait_for 8 path_is n gw direct
peers=()
for n in gw n; do
	read -r id key address < <(hub node show $n --json |
		jq -r '"\(.id) \(.wg_public_key // .public_key) \([.addresses[] | select(contains(":") | not)][0])"')
	peers+=(--peer "$n" "$id" "$key" "$address/32")
done

engine=$(node_engine n)
log() { in_ns n cat /run/taltun/tt0.log; }
log_lines() { log | wc -l; }
# In hundredths of a second, of all threads.
cpu() { awk '{print $14 + $15}' "/proc/$engine/stat"; }
rss() { awk '/^VmRSS/{print $2}' "/proc/$engine/status"; }
up() { [ "$(st n .hub.state)" = up ]; }
map_is_good() { [ "$(st n '[.peers[].name] | sort | join(" ")')" = gw ]; }
# A hub may name others, as many as it likes; here the last map may be one of those.
map_is_kept() {
	case $1 in
	map_storm | map_keys) st n '[.peers[].name] | join(" ")' | grep -qw gw ;;
	*) map_is_good ;;
	esac
}
no_stranger() { ! in_ns n ip route get 8.8.8.8 2>/dev/null | grep -q tt0; }
served() { grep -q '^on n$' "$TT_WORK/evil.out"; }
done_by() { grep -cE '^sent ' "$TT_WORK/evil.out" | grep -qx "$1"; }
# The node looks for the hub at once where its network has changed.
nudge() {
	in_ns "$1" ip addr add 192.0.2.77/32 dev e0
	in_ns "$1" ip addr del 192.0.2.77/32 dev e0
}
evil_pid=
evil() { # SCRIPT [OPTION]...
	local script=$1
	shift
	: >"$TT_WORK/evil.out"
	bg_ns h "$TT_WORK/evil.out" "$HOSTILE" --dir "$TT_WORK/hub" --seconds $SECONDS_OF "${peers[@]}" "$@" "$HUB:443" "$script"
	evil_pid=$BG_PID
	wait_for 3 grep -q ready "$TT_WORK/evil.out"
}
evil_stop() {
	kill -KILL "$evil_pid" 2>/dev/null
	wait "$evil_pid" 2>/dev/null
}

# play SCRIPT: the node keeps its tunnel meanwhile, within bounds.
play() {
	local script=$1 lines began used pinger lost took mine
	shift
	lines=$(log_lines) began=$(cpu)
	pings n "$(node_ip gw)" "$TT_WORK/ping.out.$script" 60 -i 0.05
	pinger=$BG_PID
	SECONDS=0
	evil "$script" "$@" || fail "$script: $(cat "$TT_WORK/evil.out")"
	nudge n
	nudge gw
	case $script in
	mute | mute_tcp | close_tcp | close_tls | garbage_early) sleep 2 ;;
	*) wait_for 8 served || fail "$script: the node did not come" ;;
	esac
	# the flood, and a while after it
	wait_for 10 done_by 2
	sleep 0.5
	took=$SECONDS used=$(($(cpu) - began))
	evil_stop
	kill -INT "$pinger"
	wait "$pinger" 2>/dev/null
	lost=$(ping_lost "$TT_WORK/ping.out.$script")
	lines=$(($(log_lines) - lines))
	mine=$(node_engine n)
	[ "$lost" = 0 ] || fail "$script: $lost pings lost"
	[ "$mine" = "$engine" ] || fail "$script: the engine is another one"
	engine=$mine
	map_is_kept "$script" || fail "$script: the map is $(st n '[.peers[].name] | .[:9] | join(" ")')"
	no_stranger || fail "$script: a route to 8.8.8.8 leads into the tunnel"
	# 20 changes of paths a second, where a map names thousands of peers
	[ "$lines" -lt $((100 + took * 20)) ] || fail "$script: $lines lines in the log"
	sanitized || [ "$used" -lt $(((took + 1) * 60 + 200)) ] ||
		fail "$script: $((used * 10)) ms of processor time in $took s"
	pass "$script: lost $lost, $lines lines, $((used * 10)) ms in $took s, rss $(rss) KiB"
}

hub_stop
gone() { ! up; }
check "the hub is gone" wait_for 10 gone
before=$(rss)
echo 5 >"/proc/$engine/clear_refs" # the peak from here on
peak() { awk '/^VmHWM/{print $2}' "/proc/$engine/status"; }
scripts=${TT_SCRIPTS:-garbage garbage_early wrong_kind overlong noise early welcome_twice
	welcome_strange map_own_key map_own_id map_own_address map_same_key map_same_address
	map_zero_key map_default map_public map_nul map_long map_million map_no_end map_back
	map_refused_flood signals relayed pings pongs opened_nowhere opened renewed restarting
	restarting_late restarting_soon drip mute mute_hello mute_tcp quiet close_tcp close_tls
	close_hello close_welcome map_keys map_storm}
crt=$(in_ns n sha256sum /var/lib/taltun/tt0.hub/node.crt)
for s in $scripts; do
	play "$s"
done
# At any moment: 10 MiB of a thousand strangers (10 KiB each, of which the paths are 3), 3 MiB of tables that a
# map of a million touches, and 8 MiB of the strangers of maps before: the workers' part of a peer, 2 KiB, is
# freed when no worker can see it any more, and 4096 of those wait at most (base/epoch.h). Seen: 13 to 16 MiB.
sanitized || less "memory never grew by more than 24 MiB, KiB" $(($(peak) - before)) 24576
equal "its certificate is the one it had" "$crt" "$(in_ns n sha256sum /var/lib/taltun/tt0.hub/node.crt)"

# The certificate of a hub that is not this hub's.
evil quiet --name another.example.com
nudge n
says() { st n .hub.why | grep -q "$1"; }
check "a hub of another name is refused, and named" wait_for 8 says "another name"
evil_stop
evil quiet --name "$HUB" --life -7200 -3600
nudge n
check "a hub whose certificate has expired is refused, and named" wait_for 8 says "expired"
evil_stop
check "the tunnel is there" wait_for 5 can_ping n "$(node_ip gw)"

check "the real hub again" hub_serve
nudge n
nudge gw
check "the node is connected" wait_for 10 up
check "and its map is the hub's" wait_for 5 map_is_good
check "directly" wait_for 8 path_is n gw direct
# What they took is not kept for others that may come; the tables of a map stay.
shrunk() { [ $(($(rss) - before)) -lt 8192 ]; }
sanitized || check "their memory is given back" wait_for 10 shrunk
echo "        it keeps $(($(rss) - before)) KiB"
mesh_finish
