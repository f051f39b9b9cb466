#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/bench.sh hub: what many connected nodes cost a hub, and how long joining takes, with the real
# hub and simulated nodes (tests/tools/hub_swarm) over the loopback of one namespace.
#
# usage: hub.sh ROUNDS OUT NAME NODES JOINS
set -u
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by report.sh
rounds=$1 out=$2 name=$3 nodes=$4 joins=$5 seconds=0
need_root
need_commands jq ip awk
. "$(dirname "$0")/report.sh"

SWARM=$TT_TOOLS/hub_swarm
for program in "$SWARM" "$TT_BIN/taltun-hub"; do
	[ -x "$program" ] || { echo "no $program (make all tools)" >&2 && exit 1; }
done
ulimit -n "$(ulimit -Hn)" # a descriptor per node, at both ends
bench_contender=hub
bad=0
cp "$TT_BIN/taltun-hub" "$TT_WORK/taltun-hub" # one program for all rounds, whatever is built meanwhile
ns_add h

# The unit is at the end of the figure's name.
unit() {
	case $1 in
	*_ms) echo ms ;;
	*_s) echo s ;;
	*_us) echo us ;;
	*_mib) echo MiB ;;
	*_bytes_per_node) echo B ;;
	*_percent) echo % ;;
	*) echo - ;;
	esac
}

for ((round = 1; round <= rounds; round++)); do
	say "bench: hub, $nodes nodes, round $round of $rounds"
	dir=$TT_WORK/hub-$round
	mkdir -p "$dir"
	in_ns h "$SWARM" --hub "$TT_WORK/taltun-hub" --dir "$dir" --port 4433 --nodes "$nodes" \
		--joins "$joins" --gateway-joins 10 --idle 20 >"$TT_WORK/hub-$round.json" || bad=$((bad + 1))
	while read -r metric value; do
		add "$metric" "$(unit "$metric")" "$value"
	done < <(jq -r 'to_entries[] | "\(.key) \(.value)"' "$TT_WORK/hub-$round.json")
	rm -rf "$dir"
done

# goal WHAT METRIC BOUND: the worst round counts.
goal() {
	jq -r --arg what "$1" --arg m "$2" --argjson bound "$3" '
		[.results[] | select(.metric == $m)][0] | select(. != null) | (.runs | max) as $v
		| "\(if $v < $bound then "met    " else "not met" end)  \($what): \($v) \(.unit) (wanted: below \($bound))"' "$json"
}

json=$TT_WORK/report.json
report_json >"$json"
echo
goal "the hub's memory for each node" first_bytes_per_node 65536
goal "the same after two restarts" last_bytes_per_node 65536
goal "a client joins, 99th percentile" join_p99_ms 50
goal "a gateway joins and reaches all clients" gateway_join_max_ms 2000
goal "all come back after a restart" restart_max_ms 60000
goal "all come back after the hub was killed" killed_max_ms 60000
goal "nodes that were not served" unserved 1
[ "$bad" -eq 0 ] || say "bench: $bad rounds with wrong maps, or nodes that were not served"
if [ "$out" != - ]; then
	out=${out:-$TT_ROOT/docs/bench/$(date -u +%Y-%m-%d)-$name.json}
	mkdir -p "$(dirname "$out")" && cp "$json" "$out" && say "" && say "bench: raw results in $out"
fi
exit $((bad > 0))
