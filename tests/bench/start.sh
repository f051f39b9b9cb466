#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/bench.sh start: what a node costs that does nothing, and how soon it works.
#
# usage: start.sh ROUNDS OUT NAME
#
#   namespace a                                 namespace b
#   [v0 10.99.0.1]------------ veth ------------[v0 10.99.0.2]
#   [tt..a 10.77.0.1] ~~~~~~~~ tunnel ~~~~~~~ [tt..b 10.77.0.2]
#   started in each round                       runs all the time, and answers
#
set -u
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by report.sh
rounds=$1 out=$2 name=$3 seconds=0
need_root
need_commands jq ip awk python3 strip
need_taltund
. "$(dirname "$0")/report.sh"
here=$TT_ROOT/tests/bench
idle_s=15

# One program for all rounds, whatever is built meanwhile, as it is installed.
for program in taltund taltun taltun-hub; do
	cp "$TT_BIN/$program" "$TT_WORK/$program" && strip "$TT_WORK/$program"
	bench_contender=$program
	add stripped-size MB "$(stat -c %s "$TT_WORK/$program" | awk '{ print $1 / 1e6 }')"
done
PATH=$TT_WORK:$PATH

# rss NS: the anonymous memory of each process of Taltun there, "role KiB" a line.
rss() {
	local p
	for p in $(ip netns pids "$(ns_name "$1")"); do
		case $(cat "/proc/$p/comm" 2>/dev/null) in
		taltun*) awk '/^Name:/ { n = $2 } /^RssAnon:/ { print n, $2 }' "/proc/$p/status" ;;
		esac
	done
}

# idle CONTENDER NS: after idle_s in which nobody uses it.
idle() {
	bench_contender=$1
	sleep $idle_s
	rss "$2" >"$TT_WORK/rss"
	add idle-rss-anon MB "$(awk '{ s += $2 } END { print s * 1024 / 1e6 }' "$TT_WORK/rss")"
	while read -r process kib; do
		add "rss-${process#taltun-}" MB "$(awk -v k="$kib" 'BEGIN { print k * 1024 / 1e6 }')"
	done <"$TT_WORK/rss"
}

bench_topology
wg_keys a b
conf=$TT_WORK/taltun
for n in a b; do
	other=$([ $n = a ] && echo b || echo a) me=$([ $n = a ] && echo 1 || echo 2)
	taltun_config "$conf-$n.toml" "$(ifname $n)" $n "10.77.0.$me/24"
	taltun_peer "$conf-$n.toml" "$other" "$(pub "$other")" "10.77.0.$((3 - me))/32" "10.99.0.$((3 - me)):51820"
done
bg_ns b "$TT_WORK/b.log" taltund -f --config "$conf-b.toml"
wait_for 10 link_flag_up b "$ifb" || { echo "bench: b did not start" >&2 && exit 1; }
bg_ns b "$TT_WORK/echo.log" python3 "$here/first_packet.py" echo 0.0.0.0 7003
wait_for 5 grep -q ready "$TT_WORK/echo.log" || exit 1

# first CONTENDER: a started once, and left running; $pid.
first() {
	bench_contender=$1
	in_ns a python3 "$here/first_packet.py" start 10.77.0.2 7003 "$TT_WORK/a.log" taltund -f --config "$conf-a.toml" \
		>"$TT_WORK/first.json" || { echo "bench: no packet came through" >&2 && exit 1; }
	pid=$(jq .pid "$TT_WORK/first.json")
	add interface-up ms "$(jq .up_ms "$TT_WORK/first.json")"
	add first-packet ms "$(jq .first_ms "$TT_WORK/first.json")"
}

# Not our child: kill_pids cannot wait for it.
stop_a() {
	kill -"$1" "$pid"
	wait_for 5 pid_gone "$pid"
	wait_for 5 link_absent a "$ifa"
}

for ((round = 1; round <= rounds; round++)); do
	say "bench: start, round $round of $rounds"
	in_ns a find /var/lib/taltun -type f -delete
	first start
	# the other end still has the session of the one before
	stop_a KILL
	first again
	[ "$round" -gt 3 ] || idle idle a
	stop_a TERM
done
# as peers and mesh make it: the far end has been up all the time
idle peer-up b

goal() {
	jq -r --arg what "$1" --arg m "$2" --arg c "$3" --argjson bound "$4" '
		[.results[] | select(.metric == $m and .contender == $c)][0] | select(. != null) | .median as $v
		| "\(if $v < $bound then "met    " else "not met" end)  \($what): \($v * 100 | round / 100) \(.unit) (wanted: below \($bound)); runs \(.runs | min * 100 | round / 100) to \(.runs | max * 100 | round / 100)"' "$json"
}

json=$TT_WORK/report.json
report_json >"$json"
echo
goal "idle node, RssAnon of all processes" idle-rss-anon idle 16
goal "taltund, stripped" stripped-size taltund 3
goal "start to first packet" first-packet start 300
goal "start to first packet after kill -9" first-packet again 300
if [ "$out" != - ]; then
	out=${out:-$TT_ROOT/docs/bench/$(date -u +%Y-%m-%d)-$name.json}
	mkdir -p "$(dirname "$out")" && cp "$json" "$out" && say "" && say "bench: raw results in $out"
fi
