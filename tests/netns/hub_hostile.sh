#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Enrolled nodes that mean ill (tests/tools/hostile_node.c) against the hub and, by way of it, against
# other nodes. Whatever they do: the hub's memory stays within a bound, its log as well, a healthy pair
# is answered and relayed as fast as before, and the victim keeps its connection. One namespace; the
# others are tests/tools/hub_client.c.
#
#   gw (gateway, healthy) <-> a (laptop, healthy)
#   bad (laptop, means ill; its victim is gw), evil (gateway, means ill; it sees everybody)
. "$(dirname "$0")/lib.sh"

need_root
need_commands jq
HUB=$TT_BIN/taltun-hub CLIENT=$TT_TOOLS/hub_client HOSTILE=$TT_TOOLS/hostile_node
for tool in "$HUB" "$CLIENT" "$HOSTILE"; do
	[ -x "$tool" ] || skip_all "needs $tool (make all tools)"
done
sanitized() { grep -qa __asan_init "$HUB"; }
ns_add a
in_ns a ip link set lo up
in_ns a ip addr add 198.51.100.1/32 dev lo
D=$TT_WORK/hub AT=198.51.100.1:14443 SECONDS_OF=1

hub() { in_ns a "$HUB" "$@" --dir "$D"; }
counter() { hub status --json | jq "$1"; }
at_least() { [ "$(counter "$2")" -ge "$1" ]; }
enrol() { # NAME [TOKEN OPTION]...
	local name=$1
	shift
	in_ns a "$CLIENT" enroll "$(hub token create --name "$name" "$@")" "$TT_WORK/$name"
}
connect() { # NAME
	rm -f "$TT_WORK/$1.in"
	mkfifo "$TT_WORK/$1.in"
	: >"$TT_WORK/$1.out"
	# shellcheck disable=SC2016 # for the shell in there
	bg_ns a "$TT_WORK/$1.out" sh -c 'exec <>"$1"; shift; exec "$@"' sh \
		"$TT_WORK/$1.in" "$CLIENT" run "$TT_WORK/$1"
	wait_for 5 grep -q '^welcome' "$TT_WORK/$1.out"
}
tell() {
	local name=$1
	shift
	printf '%s\n' "$*" >"$TT_WORK/$name.in"
}
heard() { grep -q -- "$2" "$TT_WORK/$1.out"; }

check "init" hub init --name "$AT"
printf '[hub]\nlisten = ["%s"]\n[stun]\nudp_port = 0\n[relay]\nudp_port = 13479\nudp_pairs_per_node = 1\n' "$AT" >"$D/hub.toml"
bg_ns a "$TT_WORK/hub.log" "$HUB" serve --dir "$D"
HUB_PID=$BG_PID
check "serves" wait_for 10 hub status
check "gateway" enrol gw --role gateway
check "laptop" enrol a
check "a laptop that means ill" enrol bad
check "a gateway that means ill" enrol evil --role gateway
check "another laptop" enrol b
id_of() { hub node show "$1" --json | jq .id; }
GW=$(id_of gw) A=$(id_of a) B=$(id_of b)
check "the gateway is connected" connect gw
check "the laptop is connected" connect a
rss() { awk '/^VmRSS/{print $2}' "/proc/$HUB_PID/status"; }
lines() { wc -l <"$TT_WORK/hub.log"; }

# Of packets from the laptop to the gateway and back: the 99th percentile in us, and how many are lost.
measure() {
	: >"$TT_WORK/a.out"
	tell a "rtt $GW ${1:-100}"
	wait_for 40 heard a '^rtt count' || return 1
	read -r P99 LOST < <(sed -n 's/^rtt .*p99_us=\([0-9]*\).*lost=\([0-9]*\)$/\1 \2/p' "$TT_WORK/a.out")
}
measure 200
check "a healthy pair: $P99 us, lost $LOST" test "$LOST" = 0
QUIET=$P99
start() { # WHO SCRIPT [OPTION]...
	local who=$1 script=$2
	shift 2
	: >"$TT_WORK/$who.out"
	bg_ns a "$TT_WORK/$who.out" "$HOSTILE" "$TT_WORK/$who" "$script" --seconds $SECONDS_OF "$@"
	eval "PID_$who=\$BG_PID"
	wait_for 5 grep -q '^ready' "$TT_WORK/$who.out"
}
ended() { grep -q '^sent' "$TT_WORK/$1.out"; }
alive() { grep -q ' alive$' "$TT_WORK/$1.out"; }

# play WHO SCRIPT [OPTION]...: the healthy pair, meanwhile and as much afterwards
play() {
	local who=$1 script=$2 before_lines before_rss grown best=999999999 lost=0
	shift 2
	before_lines=$(lines) before_rss=$(rss)
	start "$who" "$script" "$@" || fail "$script: $(cat "$TT_WORK/$who.out")"
	# the best of three looks: a machine that is busy is not the hub's doing
	for _ in 1 2 3; do
		measure 30 || fail "$script: the healthy pair got no answer"
		lost=$((lost + LOST))
		[ "$P99" -ge "$best" ] || best=$P99
	done
	wait_for 90 ended "$who" || fail "$script: it does not end: $(cat "$TT_WORK/$who.out")"
	grown=$(($(rss) - before_rss))
	[ "$lost" = 0 ] || fail "$script: $lost packets of the healthy pair lost"
	# nor what it was at the beginning, where others have come since: as fast as without the script
	if [ "$best" -ge $((QUIET * 10 + 20000)) ] && measure 60 && [ "$P99" -gt "$QUIET" ]; then
		QUIET=$P99
	fi
	[ "$best" -lt $((QUIET * 10 + 20000)) ] || fail "$script: the pair's p99 is $best us, is $QUIET us without"
	sanitized || [ "$grown" -lt 24576 ] || fail "$script: the hub has grown by $grown KiB"
	[ $(($(lines) - before_lines)) -lt 300 ] || fail "$script: $(($(lines) - before_lines)) lines of log"
	check "$script: the victim is still connected" hub_knows gw
	pass "$script: $(tail -n 1 "$TT_WORK/$who.out"); p99 $best us of $QUIET, hub +$grown KiB"
}
hub_knows() { hub status --json | jq -e --arg n "$1" 'any(.connected[]; .name == $n)' >/dev/null; }

play bad signals --victim "$GW"
check "signals past the limit are refused" test "$(counter .counters.signals_refused)" -gt 10
play bad signals_nowhere
play bad opens --victim "$GW"
play bad opens_closes --victim "$GW"
limited=$(counter .counters.limited)
play bad maps
check "maps are sent a few times, not at every request" test "$(counter .counters.limited)" -gt $((limited + 100))
renewed=$(counter .counters.renewed)
play bad renewals
check "ten renewals at once, and no more ($(($(counter .counters.renewed) - renewed)))" \
	test "$(counter .counters.renewed)" -le $((renewed + 11))
play bad pings
check "who says too much is not read for a while" test "$(counter .connections.held)" -gt 0
refused=$(counter .counters.relay_refused_policy)
play bad nowhere
check "packets to nodes outside its map are counted" \
	test "$(counter .counters.relay_refused_policy)" -gt $((refused + 100))
check "and nobody hears them" eval '! heard gw 4000000'
play evil largest --victim "$A"
for _ in 1 2 3 4; do # it needs a CPU to come to its rate
	[ "$(counter .counters.relay_refused_rate)" = 0 ] || break
	play evil largest --victim "$A"
done
check "what is past its rate is dropped, and counted" test "$(counter .counters.relay_refused_rate)" -gt 0
play evil smallest --victim "$A"
play evil udp --victim "$GW"
for c in mac cookie source tag; do
	check "the UDP relay counts what has a wrong $c" test "$(counter .relay.dropped_$c)" -gt 0
done

# --- how many relays by UDP -----------------------------------------------------------------------------

check "another laptop is connected" connect b
B_PID=$BG_PID
tell gw "open $A"
check "a node opens as many relays as it may" wait_for 5 heard gw "^relay-opened id=$A "
tell gw "open $B"
check "the next one is refused" wait_for 5 heard gw "^relay-refused id=$B reason=3"
check "and counted, by its reason" at_least 1 .relay.refused.node_full
check "and in the log" wait_for 5 grep -q 'event=hub.relay_full .*node=gw .*why=node_full' "$TT_WORK/hub.log"
: >"$TT_WORK/gw.out"
tell b "open $GW"
check "others open theirs to it" wait_for 5 heard gw "^relay-opened id=$B "
kill "$B_PID"

# --- those that lose their connection ----------------------------------------------------------------

play bad hello_twice
check "Hello twice ends it" grep -q 'error 1$' "$TT_WORK/bad.out"
play bad garbage
check "a body that is no message ends it" grep -q 'error 1$' "$TT_WORK/bad.out"
play bad longest
check "the longest frame is taken" grep -q '^after the longest: alive' "$TT_WORK/bad.out"
check "one byte more ends it" grep -q 'closed$' "$TT_WORK/bad.out"

# --- who does not read ---------------------------------------------------------------------------------

# Its receive buffer is small from the beginning (hub_talk.h says why), so that what it sends arrives
# although it reads nothing: the hub holds it for what it asks, as it does one that reads.
held=$(counter .connections.held)
play bad mute
check "who asks and does not read the answers is not read either" test "$(counter .connections.held)" -gt "$held"
SECONDS_OF=${TT_ALL:+45}
SECONDS_OF=${SECONDS_OF:-4}
check "a laptop that does not read" start b deaf
SECONDS_OF=1
play evil largest --victim "$B"
sanitized || less "what waits for it stays within a bound, KiB" "$(($(counter .connections.packet_bytes) / 1024))" 2048
check "the oldest gave way" test "$(counter .connections.relay_dropped_oldest)" -gt 0
[ -z "${TT_ALL:-}" ] ||
	check "it loses its connection in the end" wait_for 40 at_least 1 .connections.closed.not_reading

# --- coming and going -----------------------------------------------------------------------------------

SECONDS_OF=2
play bad reconnect
check "who connects too often is refused" grep -Eq 'welcome [0-9]+ refused [1-9]' "$TT_WORK/bad.out"
less "after so many times" "$(sed -n 's/^welcome \([0-9]*\) .*/\1/p' "$TT_WORK/bad.out")" 25
check "the hub serves" hub status
equal "all that time: no connection of the healthy ones was lost" 0 "$(grep -c 'event=hub.node_left.*node=\(gw\|a\) ' "$TT_WORK/hub.log")"
finish
