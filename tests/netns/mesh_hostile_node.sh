#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# An enrolled gateway that means ill (tests/tools/hostile_node.c) against other nodes, by way of the
# hub: floods of signals, relays opened and closed, and relayed packets that are nobody's. Two nodes
# that have a direct tunnel keep it without losing a ping, their engines live on, and neither memory nor
# the log nor processor time grows past a bound.
#
#   h (hub) --- i (internet) --- gw, n (nodes), evil
#
# TT_SCRIPTS takes only these scripts of it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
CLIENT=$TT_TOOLS/hub_client HOSTILE=$TT_TOOLS/hostile_node
for tool in "$CLIENT" "$HOSTILE"; do
	[ -x "$tool" ] || skip_all "needs $tool (make tools)"
done
sanitized() { grep -qa __asan_init "$TT_BIN/taltund"; }
check "an internet" nats_start
check "a hub" hub_start
for n in gw n evil; do
	check "node $n" node $n
done
check "the gateway enrols" enroll gw --role gateway
check "the node enrols" enroll n
check "one that means ill enrols" in_ns evil "$CLIENT" enroll \
	"$(hub token create --name evil --role gateway)" "$TT_WORK/evil"
G=$(node_ip gw)
check "the node sees the gateway" wait_for 5 can_ping n "$G"
direct() { path_is n gw direct; }
check "directly" wait_for 8 direct
victim=$(hub node show gw --json | jq .id)
engine=$(node_engine gw)
log_lines() { in_ns gw cat /run/taltun/tt0.log | wc -l; }
cpu() { awk '{print $14 + $15}' "/proc/$engine/stat"; } # in hundredths of a second
rss() { awk '/^VmRSS/{print $2}' "/proc/$engine/status"; }
ended() { grep -q '^sent' "$TT_WORK/evil.out"; }

play() {
	local script=$1 lines began used took lost pinger
	case " ${TT_SCRIPTS:-$script} " in *" $script "*) ;; *) return 0 ;; esac
	lines=$(log_lines) began=$(cpu)
	pings n "$G" "$TT_WORK/ping.out.$script" 60 -i 0.05
	pinger=$BG_PID
	SECONDS=0
	: >"$TT_WORK/evil.out"
	bg_ns evil "$TT_WORK/evil.out" "$HOSTILE" "$TT_WORK/evil" "$script" --victim "$victim" --seconds 2
	wait_for 20 ended || fail "$script: it does not end: $(cat "$TT_WORK/evil.out")"
	took=$((SECONDS + 1)) used=$(($(cpu) - began))
	kill -INT "$pinger"
	wait "$pinger" 2>/dev/null
	lost=$(ping_lost "$TT_WORK/ping.out.$script")
	lines=$(($(log_lines) - lines))
	[ "$lost" = 0 ] || fail "$script: $lost pings lost"
	[ "$(node_engine gw)" = "$engine" ] || fail "$script: the engine is another one"
	direct || fail "$script: the path is $(path n gw)"
	# it comes and goes at the hub: each time a peer more or less
	[ "$lines" -lt $((50 + took * 30)) ] || fail "$script: $lines lines in the log"
	sanitized || [ "$used" -lt $((took * 80 + 100)) ] || fail "$script: $((used * 10)) ms of processor time in $took s"
	pass "$script: $(tail -n 1 "$TT_WORK/evil.out"); lost $lost, $lines lines, $((used * 10)) ms in $took s, rss $(rss) KiB"
}

before=$(rss)
for s in signals opens_closes largest smallest initiations data checks udp; do
	play $s
done
sanitized || less "memory has not grown by more than 16 MiB, KiB" $(($(rss) - before)) 16384
check "the tunnel is there" wait_for 5 can_ping n "$G"
check "the one that means ill is revoked" hub node revoke evil
only_n() { [ "$(st gw '[.peers[].name] | join(" ")')" = n ]; }
check "and gone within 2 s" wait_for 2 only_n
mesh_finish
