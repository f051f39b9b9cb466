#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/bench.sh relay: our relays against coturn's ChannelData, one relay thread each, by the same
# generators (tests/tools/relay_load, relay_tls). The receiver of coturn is a plain UDP peer, which
# saves it the second framing, and by TLS the second encryption; coturn_both is a relay between two
# clients by TLS, as ours is.
#
#   namespace a                    namespace h                      namespace b
#   [v0 10.97.1.2]----- veth -----[v0 10.97.1.1 | v1 10.97.2.1]----- veth -----[v0 10.97.2.2]
#   sender                         the relay, alone on the last CPU  receiver
#
# usage: relay.sh ROUNDS SECONDS OUT NAME
set -u
. "$(dirname "$0")/lib.sh"
rounds=$1 seconds=$2 out=$3 name=$4
need_root
need_commands jq ip ethtool awk taskset turnserver
. "$(dirname "$0")/report.sh"

LOAD=$TT_TOOLS/relay_load TLS=$TT_TOOLS/relay_tls
for tool in "$LOAD" "$TLS"; do
	[ -x "$tool" ] || { echo "no $tool (make tools)" >&2 && exit 1; }
done
BYTES=1400 # of payload, in either framing
OFFERS=${TALTUN_OFFERS:-'0 250000 120000 60000'} # datagrams a second; 0: what can be sent
TLS_OFFERS=${TALTUN_TLS_OFFERS:-'0 500000 350000 250000 180000 120000 80000 50000'}
relay_cpu=$(($(nproc) - 1))
parts=${TALTUN_RELAY_PARTS:-udp tls delay} # some of these
wanted() { [[ " $parts " == *" $1 "* ]]; }

ns_add a h b
veth a v0 10.97.1.2/24 h v0 10.97.1.1/24
veth h v1 10.97.2.1/24 b v0 10.97.2.2/24
in_ns a ip route add 10.97.2.0/24 via 10.97.1.1
in_ns b ip route add 10.97.1.0/24 via 10.97.2.1
in_ns h sysctl -qw net.ipv4.ip_forward=1

segmentation() {
	local at
	for at in a:v0 h:v0 h:v1 b:v0; do
		in_ns "${at%:*}" ethtool -K "${at#*:}" tx-udp-segmentation "$1" 2>/dev/null
	done
}

relay_pid='' link_a='' link_b='' sending=send
pin=(taskset -c "$relay_cpu") # the relay, but where delay is measured

start_taltun() {
	: >"$TT_WORK/taltun.log"
	bg_ns h "$TT_WORK/taltun.log" "${pin[@]}" "$LOAD" serve 0.0.0.0 3479
	relay_pid=$BG_PID
	wait_for 5 grep -q : "$TT_WORK/taltun.log" || return 1
	read -r link_a link_b <"$TT_WORK/taltun.log"
	link_a=taltun:10.97.1.1:3479:$link_a link_b=taltun:10.97.2.1:3479:$link_b
}

start_coturn() {
	: >"$TT_WORK/coturn.log"
	bg_ns h "$TT_WORK/coturn.log" "${pin[@]}" turnserver -n --no-auth --relay-threads=1 \
		--listening-ip=10.97.1.1 --relay-ip=10.97.2.1 --listening-port=3478 --realm=bench \
		--no-cli --no-tls --no-dtls --log-file=stdout --pidfile="$TT_WORK/turn.pid" \
		--no-software-attribute --userdb="$TT_WORK/turn.db"
	relay_pid=$BG_PID
	link_a=turn:10.97.1.1:3478:10.97.2.2:9000 link_b=listen:9000
	wait_for 5 grep -q "Total General servers" "$TT_WORK/coturn.log" && sleep 0.5
}

start_taltun_tls() {
	: >"$TT_WORK/taltun_tls.log"
	bg_ns h "$TT_WORK/taltun_tls.log" taskset -c "$relay_cpu" "$TLS" serve 0.0.0.0 4443
	relay_pid=$BG_PID
	link_a=taltun:10.97.1.1:4443:2 link_b=taltun:10.97.2.1:4443:1
	wait_for 5 grep -q ready "$TT_WORK/taltun_tls.log"
}

start_coturn_tls() {
	[ -s "$TT_WORK/turn.key" ] || "$TLS" cert "$TT_WORK/turn.crt" "$TT_WORK/turn.key" || return 1
	: >"$TT_WORK/coturn_tls.log"
	bg_ns h "$TT_WORK/coturn_tls.log" taskset -c "$relay_cpu" turnserver -n --no-auth --relay-threads=1 \
		--listening-ip=10.97.1.1 --relay-ip=10.97.2.1 --tls-listening-port=4443 --realm=bench \
		--no-cli --no-udp --no-dtls --cert="$TT_WORK/turn.crt" --pkey="$TT_WORK/turn.key" \
		--log-file=stdout --pidfile="$TT_WORK/turn.pid" --no-software-attribute \
		--userdb="$TT_WORK/turn.db"
	relay_pid=$BG_PID
	link_a=turn:10.97.1.1:4443:10.97.2.2:9000 link_b=listen:9000
	wait_for 5 grep -q "Total General servers" "$TT_WORK/coturn_tls.log" && sleep 0.5
}

start_coturn_both() {
	local contender=$bench_contender
	bench_contender=coturn_tls
	start_coturn_tls && link_a='' link_b=turn:10.97.1.1:4443:10.97.2.1
	bench_contender=$contender
}

# Kernel forwarding: what is there without a relay.
start_direct() {
	relay_pid='' link_a=udp:10.97.2.2:9000 link_b=listen:9000
}

stop_relay() {
	[ -z "$relay_pid" ] || kill_pids 3 "$relay_pid"
	relay_pid=
}

# Nanoseconds of CPU that the relay has used.
relay_cpu_ns() {
	cat /proc/"$relay_pid"/task/*/schedstat 2>/dev/null | awk '{ s += $1 } END { printf "%.0f", s }'
}

# one_rate PPS: the Mbit/s that arrived, and the Mbit that arrived for a second of the relay's CPU.
one_rate() {
	local pid before sender=$LOAD receiver=$LOAD
	case $bench_contender in *_tls | *_both) sender=$TLS ;; esac
	case $bench_contender in taltun_tls | *_both) receiver=$TLS ;; esac
	: >"$TT_WORK/receive.log"
	bg_ns b "$TT_WORK/receive.log" taskset -c 0 "$receiver" "$link_b" receive "$((seconds + 5))"
	pid=$BG_PID
	wait_for 5 grep -q ready "$TT_WORK/receive.log" || return 1
	# the relayed address of the receiver
	[ "$bench_contender" != coturn_both ] ||
		link_a=turn:10.97.1.1:4443:10.97.2.1:$(sed -n 's/^ready //p' "$TT_WORK/receive.log")
	before=$(relay_cpu_ns)
	in_ns a taskset -c 0 "$sender" "$link_a" "$sending" "$seconds" "$BYTES" "$1" >"$TT_WORK/send.log" 2>&1
	wait "$pid" 2>/dev/null
	grep '^{' "$TT_WORK/receive.log" |
		jq -r --argjson ns $(($(relay_cpu_ns) - before)) '[.mbit, .bytes * 8000 / $ns] | map(round) | @tsv'
}

# rates METRIC [OFFERS]: the most that arrived at any of the offers, and the most for a second of CPU. Beyond
# its limit a relay wastes time on what it drops.
rates() {
	local offer mbit per_cpu best=0 best_per_cpu=0
	for offer in ${2:-$OFFERS}; do
		read -r mbit per_cpu < <(one_rate "$offer") || mbit=0 per_cpu=0
		say "        offered $offer/s: $mbit Mbit/s, $per_cpu Mbit per second of CPU"
		[ "$mbit" -le "$best" ] || best=$mbit
		[ "$per_cpu" -le "$best_per_cpu" ] || best_per_cpu=$per_cpu
	done
	bench_contender=${bench_contender%_tls}
	add "$1" Mbit/s "$best"
	add "$1-cpu" Mbit/cpu-s "$best_per_cpu"
}

measure_rtt() {
	local pid
	: >"$TT_WORK/echo.log"
	bg_ns b "$TT_WORK/echo.log" "$LOAD" "$link_b" echo 60
	pid=$BG_PID
	wait_for 5 grep -q ready "$TT_WORK/echo.log" || return 1
	in_ns a "$LOAD" "$link_a" ping 100 | jq .median_us
	kill_pids 2 "$pid"
}

# with_relay NAME COMMAND...: its output, the relay running.
with_relay() {
	bench_contender=$1
	shift
	if "start_$bench_contender"; then
		"$@"
	else
		say "    $bench_contender does not start: $(tail -n 3 "$TT_WORK/$bench_contender.log")"
	fi
	stop_relay
}

turn_rtt() { add relay-rtt us "$(measure_rtt)"; }

for ((round = 1; round <= rounds; round++)); do
	say "bench: round $round of $rounds"
	# as the kernel likes it; sent one by one; and one by one through the whole network stack
	if wanted udp; then
		for c in taltun coturn; do with_relay $c rates relay-udp; done
		sending=send-single
		for c in taltun coturn; do with_relay $c rates relay-udp-single; done
		sending=send
		segmentation off
		for c in taltun coturn; do with_relay $c rates relay-udp-alone; done
		segmentation on
	fi
	if wanted tls; then
		for c in taltun_tls coturn_tls coturn_both; do with_relay $c rates relay-tls "$TLS_OFFERS"; done
	fi
	wanted delay || continue
	# delay on a machine that is not idle: the best of many short looks
	pin=()
	for _ in 1 2 3 4; do
		for c in direct taltun coturn; do with_relay $c turn_rtt; done
	done
	pin=(taskset -c "$relay_cpu")
done

json=$TT_WORK/report.json
report_json >"$json"
jq -r '.results[] | [.metric, .contender, .median, .unit, (.runs | tostring)] | @tsv' "$json"
jq -r '
	def med(m; c): [.results[] | select(.metric == m and .contender == c)][0].median // 0;
	def goal(ok; text): "\(if ok then "met    " else "not met" end)  \(text)";
	def ratio_to(m; c): if med(m; c) > 0 then med(m; "taltun") / med(m; c) * 100 | round / 100 else 0 end;
	def ratio(m): ratio_to(m; "coturn");
	(med("relay-rtt"; "taltun") - med("relay-rtt"; "direct")) as $d |
	"",
	(("relay-udp", "relay-udp-single", "relay-udp-alone") as $m |
		goal(ratio($m) >= 3;
			"\($m): \(ratio($m))x coturn, \(ratio("\($m)-cpu"))x for a second of CPU (wanted: at least 3)")),
	(("coturn", "coturn_both") as $c |
		goal(ratio_to("relay-tls"; $c) >= 2;
			"relay-tls: \(ratio_to("relay-tls"; $c))x \($c), \(ratio_to("relay-tls-cpu"; $c))x for a second of CPU (wanted: at least 2)")),
	goal($d < 100; "a hop adds \($d * 10 | round / 10) us to the idle round trip (wanted: less than 100)")' "$json"
if [ "$out" != - ]; then
	out=${out:-$TT_ROOT/docs/bench/$(date -u +%Y-%m-%d)-$name.json}
	mkdir -p "$(dirname "$out")" && cp "$json" "$out" && say "" && say "bench: raw results in $out"
fi
