#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Speed and memory, side by side: every contender in the same two namespaces over the same veth
# pair, in turns, medians of the rounds.
#
# usage: scripts/bench.sh [OPTION]... [MEASUREMENT]...
#   tcp         one TCP stream                    udp-loss   highest UDP rate with < 1 % loss
#   tcp-noseg   the same, every datagram alone    ping       idle median, 99th percentile under load
#   udp-flood   64 and 1372 bytes, received       idle       1,000 idle peers, loading 10,000
#   all         everything (the default)          quick      tcp, udp-flood, ping: one short round
# and, alone, what the way past the kernel does to its host (tests/bench/host.sh):
#   pinhole     daemon and tunnel under a flood of junk, against a bare XDP_DROP
#   beside      the host's other traffic with steering attached, against an idle XDP_PASS
#   one-way     one direction of UDP from our own generator, against raw AF_XDP and the sockets
# and, alone, the hub's relays (tests/bench/relay.sh):
#   relay       UDP and TLS against coturn's ChannelData, and what a hop adds to the round trip
# and, alone, a hub with many connected nodes (tests/bench/hub.sh):
#   hub         memory, joining, and all of them at once; --nodes N (10000), --joins N (300)
# and, alone, a node that does nothing (tests/bench/start.sh):
#   start       time from start to the first packet, idle memory, size of the programs
# options:
#   --rounds N (3)   --seconds S (5)   --out FILE (docs/bench/DATE-NAME.json, - for none)
#   --contenders a,b,...   of: veth taltun taltun-null prototype wireguard-go nebula fastd openvpn
#                          and, by AF_XDP: taltun-xdp taltun-xdp-null taltun-busy
#   --name NAME   goes into the file name and the report
# TALTUN_PROTOTYPE=DIR is where the yardstick is; it is left out where that is absent.
set -u

usage() { sed -n '4,27s/^# \{0,1\}//p' "$0"; }

all_contenders="veth taltun taltun-null prototype wireguard-go nebula fastd openvpn"
xdp_contenders="taltun-xdp taltun-xdp-null taltun-busy"
contenders=$all_contenders rounds=3 seconds=5 out='' name=local measurements=() host=() relay='' hub='' start=''
nodes=10000 joins=300

while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=${2:?} && shift ;;
	--seconds) seconds=${2:?} && shift ;;
	--contenders) contenders=${2//,/ } && shift ;;
	--out) out=${2:?} && shift ;;
	--name) name=${2:?} && shift ;;
	--nodes) nodes=${2:?} && shift ;;
	--joins) joins=${2:?} && shift ;;
	-h | --help) usage && exit 0 ;;
	all) measurements+=(tcp tcp-noseg udp-flood udp-loss ping idle) ;;
	quick)
		measurements+=(tcp udp-flood ping)
		rounds=1 seconds=2
		;;
	relay) relay=1 ;;
	hub) hub=1 ;;
	start) start=1 ;;
	pinhole | beside | one-way) host+=("$1") ;;
	tcp | tcp-noseg | udp-flood | udp-loss | ping | idle) measurements+=("$1") ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done
case $rounds$seconds in
*[!0-9]* | 0*) echo "bench: --rounds and --seconds want whole numbers above 0" >&2 && exit 64 ;;
esac
if [ -n "$start" ]; then
	[ $((${#measurements[@]} + ${#host[@]} + ${#relay} + ${#hub})) -eq 0 ] || { echo "bench: start runs without others" >&2 && exit 64; }
	exec bash "$(dirname "$0")/../tests/bench/start.sh" "$rounds" "$out" "$name"
fi
if [ -n "$hub" ]; then
	[ $((${#measurements[@]} + ${#host[@]} + ${#relay})) -eq 0 ] || { echo "bench: hub runs without others" >&2 && exit 64; }
	exec bash "$(dirname "$0")/../tests/bench/hub.sh" "$rounds" "$out" "$name" "$nodes" "$joins"
fi
if [ -n "$relay" ]; then
	[ $((${#measurements[@]} + ${#host[@]})) -eq 0 ] || { echo "bench: relay runs without others" >&2 && exit 64; }
	exec bash "$(dirname "$0")/../tests/bench/relay.sh" "$rounds" "$seconds" "$out" "$name"
fi
if [ ${#host[@]} -gt 0 ]; then
	[ ${#measurements[@]} -eq 0 ] || { echo "bench: ${host[*]} run without others" >&2 && exit 64; }
	exec bash "$(dirname "$0")/../tests/bench/host.sh" "$rounds" "$seconds" "$out" "$name" "${host[@]}"
fi
[ ${#measurements[@]} -gt 0 ] || measurements=(tcp tcp-noseg udp-flood udp-loss ping idle)

. "$(dirname "$0")/../tests/bench/lib.sh"
need_root
need_commands jq iperf3 wg ip ethtool ping awk
. "$(dirname "$0")/../tests/bench/report.sh"

run_tcp() { add tcp Mbit/s "$(measure_tcp "$seconds")"; }

segmentation() {
	in_ns a ethtool -K v0 tx-udp-segmentation "$1" 2>/dev/null
	in_ns b ethtool -K v0 tx-udp-segmentation "$1" 2>/dev/null
}

run_tcp_noseg() {
	segmentation off
	add tcp-noseg Mbit/s "$(measure_tcp "$seconds")"
	segmentation on
}

run_udp_flood() {
	add udp-64 kpps "$(measure_udp_flood "$seconds" 64)"
	add udp-1372 kpps "$(measure_udp_flood "$seconds" 1372)"
}

run_udp_loss() { add udp-loss Mbit/s "$(measure_udp_loss $(((seconds + 1) / 2)))"; }

run_ping() {
	add ping-idle us "$(measure_ping_idle)"
	add ping-load us "$(measure_ping_load "$seconds")"
}

# Only Taltun: what a gateway costs that nobody uses.
run_idle() {
	local pid before after
	if ! have_taltun >/dev/null; then
		say "    idle: $(have_taltun)"
		return
	fi
	if taltun_many_start 1000; then
		pid=${bench_pids[0]}
		sleep 1
		before=$(tree_ticks "$pid")
		sleep 20
		after=$(tree_ticks "$pid")
		add idle-cpu % "$(awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN { print t * 100 / hz / 20 }')"
		add idle-rss MB "$(awk -v k="$(tree_rss_anon_kib "$pid")" 'BEGIN { print k / 1024 }')"
	else
		say "    1,000 peers: did not start: $(tail -n 3 "$TT_WORK/taltun-many-a.log")"
	fi
	contender_stop
	if taltun_many_start 10000; then
		add load-10000 s "$bench_load_seconds"
	else
		say "    10,000 peers: did not start: $(tail -n 3 "$TT_WORK/taltun-many-a.log")"
	fi
	contender_stop
}

# One contender's turn: started once, everything asked for, stopped.
turn() {
	local m
	if ! contender_start "$1"; then
		say "    $1: carries no traffic: $(tail -qn 3 "$TT_WORK/$1"-*.log 2>/dev/null)"
		contender_stop
		return
	fi
	for m in "${measurements[@]}"; do
		[ "$m" = idle ] || "run_${m//-/_}"
	done
	contender_stop
}

# The goals of docs/performance.md: metric, contender, reference, factor, direction.
goals() {
	cat <<-END
		tcp taltun wireguard-go 10 above
		tcp taltun prototype 1 above
		tcp taltun taltun-null 0.75 above
		tcp-noseg taltun wireguard-go 3.5 above
		udp-64 taltun wireguard-go 3 above
		udp-64 taltun nebula 1 above
		udp-64 taltun fastd 1 above
		udp-1372 taltun wireguard-go 3 above
		udp-1372 taltun nebula 1 above
		udp-1372 taltun fastd 1 above
		udp-loss taltun nebula 1 above
		ping-idle taltun fastd 1 below
		ping-load taltun wireguard-go 1 below
		tcp-noseg taltun-xdp wireguard-go 7.5 above
		tcp-noseg taltun-xdp taltun 1.8 above
		tcp-noseg taltun-xdp taltun-xdp-null 0.85 above
		udp-64 taltun-xdp wireguard-go 4 above
		udp-64 taltun-xdp taltun 1.2 above
	END
}

# Medians as "metric unit contender median smallest largest", in the order they were measured.
medians() {
	awk -F '\t' '{ k = $1 "\t" $3 } !seen[k]++ { m[$1] = m[$1] k "\n"; if (!($1 in at)) { at[$1]; o[++n] = $1 } }
		END { for (i = 1; i <= n; i++) printf "%s", m[o[i]] }' "$results" |
		while IFS=$'\t' read -r metric of; do
			jq -r --arg m "$metric" --arg c "$of" '.results[]
				| select(.metric == $m and .contender == $c)
				| [.metric, .unit, .contender, .median, (.runs | min), (.runs | max)] | @tsv' "$1"
		done
}

print_table() {
	printf '\n%-11s %-14s %12s %-7s %25s %10s %10s\n' measurement contender median unit \
		"smallest .. largest" "x wg-go" "taltun x"
	medians "$1" | awk -F '\t' '
		{ n++; for (i = 1; i <= 6; i++) f[n, i] = $i; med[$1, $3] = $4 }
		function ratio(a, b) { return b > 0 && a > 0 ? sprintf("%.2f", a / b) : "-" }
		END {
			for (i = 1; i <= n; i++) {
				m = f[i, 1]
				if (m != last) print ""
				last = m
				printf "%-11s %-14s %12.2f %-7s %12.2f ..%10.2f %10s %10s\n", m, f[i, 3], f[i, 4],
					f[i, 2], f[i, 5], f[i, 6], ratio(f[i, 4], med[m, "wireguard-go"]),
					ratio(med[m, "taltun"], f[i, 4])
			}
		}'
}

print_goals() {
	local metric of ref factor way
	echo
	goals | while read -r metric of ref factor way; do
		jq -r --arg m "$metric" --arg of "$of" --arg ref "$ref" --argjson k "$factor" --arg way "$way" '
			def med(c): [.results[] | select(.metric == $m and .contender == c)][0].median;
			med($of) as $a | med($ref) as $b
			| if ($a // 0) > 0 and ($b // 0) > 0 then
				($a / $b) as $r
				| "\(if (if $way == "above" then $r >= $k else $r <= $k end) then "met    " else "not met" end)  \($m): \($of) is \($r * 100 | round / 100)x \($ref) (wanted: \(if $way == "above" then "at least" else "at most" end) \($k))"
			else empty end' "$1"
	done
}

present=()
say "bench: contenders"
for c in $contenders; do
	case " $all_contenders $xdp_contenders " in
	*" $c "*) ;;
	*) say "bench: no contender '$c' (one of: $all_contenders $xdp_contenders)" && exit 64 ;;
	esac
	if why=$(contender_have "$c"); then
		present+=("$c")
	else
		say "    $c: left out: $why"
	fi
done
bench_topology
wg_keys a b
needs_turns=
for m in "${measurements[@]}"; do
	[ "$m" = idle ] || needs_turns=1
done
for ((round = 1; round <= rounds; round++)); do
	[ -n "$needs_turns" ] || break
	say "bench: round $round of $rounds"
	for c in "${present[@]}"; do
		turn "$c"
	done
done
case " ${measurements[*]} " in
*" idle "*)
	say "bench: idle peers"
	run_idle
	;;
esac

json=$TT_WORK/report.json
report_json >"$json"
print_table "$json"
print_goals "$json"
if [ "$out" != - ]; then
	out=${out:-$TT_ROOT/docs/bench/$(date -u +%Y-%m-%d)-$name.json}
	mkdir -p "$(dirname "$out")" && cp "$json" "$out" && say "" && say "bench: raw results in $out"
fi
