#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the way past the kernel does to its host: scripts/bench.sh pinhole, beside, one-way.
#
#   c [v0 10.8.0.2]---- veth ----[v0 10.8.0.1] g [v1 10.9.0.1]---- veth ----[v1 10.9.0.2] j
#   [tun 10.77.0.2]~~~~ tunnel ~~~[tun 10.77.0.1]                                    sends junk
#
# Every figure is taken in turns with what it is compared to; medians count.
set -u
rounds=$1 seconds=$2 out=$3 name=$4
shift 4
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/report.sh"
need_root
need_taltund
need_commands jq iperf3 wg ip ethtool
for tool in udp_flood xdp_prog; do
	[ -x "$TT_TOOLS/$tool" ] || skip_all "needs $TT_TOOLS/$tool (make tools)"
done
tg=$(ifname g) tc=$(ifname c)

status() { in_ns "$1" taltun status --json "$2" | jq -r ".[0] | $3"; }
nic() { status "$1" "$2" ".datapath.interfaces[] | select(.interface == \"$3\") | $4"; }
mode_is() { [ "$(nic "$1" "$2" "$3" .mode)" = "$4" ]; }
redirects() { status "$1" "$2" '[.datapath.interfaces[].steering.redirected] | add // 0'; }

# config NS IFNAME ADDRESS MODE INTERFACES PEER ENDPOINT
config() {
	{
		printf '[interface]\nname = "%s"\nprivate_key_file = "%s"\naddress = ["%s/24"]\n' "$2" "$(key_file "$1")" "$3"
		printf 'listen_port = 51820\n[datapath]\nmode = "%s"\ninterfaces = [%s]\n' "$4" "$5"
		printf '[[peer]]\npublic_key = "%s"\nallowed_ips = ["%s/32"]\nendpoint = "%s:51820"\n' "$(pub "$6")" "$7" "$8"
	} >"$TT_WORK/$1.toml"
	chmod 600 "$TT_WORK/$1.toml"
}
config_g() { config g "$tg" 10.77.0.1 "$1" "$2" c 10.77.0.2 10.8.0.2; }
config_c() { config c "$tc" 10.77.0.2 "$1" '"v0"' g 10.77.0.1 10.8.0.1; }
nodes_start() {
	config_g "$1" '"v0"'
	config_c "$1"
	tt_start g "$TT_WORK/g.toml" && tt_start c "$TT_WORK/c.toml" && wait_for 10 can_ping c 10.77.0.1
}
nodes_stop() {
	tt_stop c "$tc"
	tt_stop g "$tg"
}
reload_g() {
	config_g "$1" "$2"
	in_ns g taltun reload "$tg" >/dev/null
}

# other IFNAME pass|drop: another program on the gateway's interface; other_end takes it off.
other() {
	: >"$TT_WORK/other.txt"
	bg_ns g "$TT_WORK/other.txt" "$TT_TOOLS/xdp_prog" "$1" "$2"
	other=$BG_PID
	wait_for 2 grep -q attached "$TT_WORK/other.txt"
}
other_end() { kill_pids 2 "$other"; }

# flood SECONDS [PPS]: junk at the tunnel's udp_port of the gateway, in the background.
flood() {
	: >"$TT_WORK/flood.txt"
	bg_ns j "$TT_WORK/flood.txt" "$TT_TOOLS/udp_flood" 10.9.0.1 51820 "$1" 64 junk ${2:+"$2"}
	flood=$BG_PID
	sleep 0.2
}
flood_end() {
	wait_for $((seconds * 2 + 3)) pid_gone "$flood"
	add junk-sent kpps "$(jq '.pps / 1000' "$TT_WORK/flood.txt")"
}

tree() { local p; echo "$1"; for p in $(pgrep -P "$1"); do tree "$p"; done; }
# In units of 1/CLK_TCK s; children come and go, so it is the sum of those that are there.
ticks() { for p in $(tree "$1"); do cat "/proc/$p/stat" 2>/dev/null; done | sed 's/.*) //' | awk '{ t += $12 + $13 } END { print t + 0 }'; }
percent() { awk -v t="$1" -v hz="$(getconf CLK_TCK)" -v s="$2" 'BEGIN { print t * 100 / hz / s }'; }

# --- pinhole: a flood of junk --------------------------------------------------------------------

# Both ways of the gateway's other interface, with the same flood on it: our steering, a bare drop.
pinhole_turn() {
	local before
	bench_contender=$1
	flood $((seconds + 1)) "$junk_pps"
	add tunnel-under-junk Mbit/s "$(iperf_run c g 10.77.0.1 -t "$seconds")"
	flood_end
	flood $((seconds + 1)) "$junk_pps"
	before=$(ticks "$(tt_pid g "$tg")")
	sleep "$seconds"
	add daemon-cpu-under-junk % "$(percent $(($(ticks "$(tt_pid g "$tg")") - before)) "$seconds")"
	flood_end
}
pinhole() {
	local round was junk_pps
	# every datagram alone: a super-packet of the sender's is one packet to a drop, and 64 to us
	in_ns j ethtool -K v1 tx-udp-segmentation off
	nodes_start xdp || { say "the nodes do not start" && return 1; }
	mode_is g "$tg" v0 "native copy" || { say "no native copy here" && return 1; }
	# what the generator can do against steering, alone: the flood of all turns
	reload_g xdp '"v0", "v1"'
	wait_for 5 mode_is g "$tg" v1 "native copy" || { say "v1 is not steered" && return 1; }
	bench_contender=generator
	flood "$seconds" && flood_end
	junk_pps=$(jq .pps "$TT_WORK/flood.txt")
	reload_g xdp '"v0"'
	for ((round = 1; round <= rounds; round++)); do
		say "bench: pinhole, round $round of $rounds"
		other v1 drop && pinhole_turn xdp-drop
		other_end
		reload_g xdp '"v0", "v1"'
		wait_for 5 mode_is g "$tg" v1 "native copy" || say "v1 is not steered: $(nic g "$tg" v1 .reason)"
		was=$(nic g "$tg" v1 .steering.unknown_index)
		pinhole_turn taltun
		add junk-dropped-by-steering packets $(($(nic g "$tg" v1 .steering.unknown_index) - was))
		reload_g xdp '"v0"'
	done
	bench_contender=no-flood
	was=$(ticks "$(tt_pid g "$tg")")
	sleep "$seconds"
	add daemon-cpu-idle % "$(percent $(($(ticks "$(tt_pid g "$tg")") - was)) "$seconds")"
	add tunnel Mbit/s "$(iperf_run c g 10.77.0.1 -t "$seconds")"
	nodes_stop
}

# --- beside: the host's other traffic ------------------------------------------------------------

beside_turn() {
	bench_contender=$1
	add beside-tcp Mbit/s "$(iperf_run c g 10.8.0.1 -t "$seconds")"
	add beside-udp Mbit/s "$(iperf_run c g 10.8.0.1 -u -b 0 -l 1372 -t "$seconds")"
	add beside-udp-64 Mbit/s "$(iperf_run c g 10.8.0.1 -u -b 0 -l 64 -t "$seconds")"
}
beside() {
	local round
	config_g xdp '"v0"'
	config_c socket
	if ! { tt_start g "$TT_WORK/g.toml" && tt_start c "$TT_WORK/c.toml" && wait_for 10 can_ping c 10.77.0.1; }; then
		say "the nodes do not start"
		return 1
	fi
	for ((round = 1; round <= rounds; round++)); do
		say "bench: beside, round $round of $rounds"
		reload_g socket '"v0"'
		other v0 pass && beside_turn xdp-pass
		other_end
		reload_g xdp '"v0"'
		wait_for 5 mode_is g "$tg" v0 "native copy" || say "v0 is not steered: $(nic g "$tg" v0 .reason)"
		beside_turn taltun
	done
	nodes_stop
}

# --- one-way: our own generator ------------------------------------------------------------------

# offered BYTES PPS: inner packets that the gateway's worker gave to its TUN, in kpps.
offered() {
	local before after
	sleep 0.3 # what waits from before
	before=$(status g "$tg" .datapath.traffic.rx_packets)
	in_ns c "$TT_TOOLS/udp_flood" 10.77.0.1 7777 "$seconds" "$1" plain "$2" >"$TT_WORK/one-way.txt"
	after=$(status g "$tg" .datapath.traffic.rx_packets)
	awk -v n=$((after - before)) -v s="$(jq .seconds "$TT_WORK/one-way.txt")" 'BEGIN { print n / s / 1000 }'
}
# one_way_udp BYTES KPPS: the most that comes through of several shares of the raw rate: with more
# than it can take, generator and workers only take CPU from each other.
one_way_udp() {
	local share
	for share in 0.5 0.7 0.9 1.1 1.5 2; do
		offered "$1" "$(awk -v k="$2" -v s=$share 'BEGIN { printf "%d", k * s * 1000 }')"
	done | sort -g | tail -n 1
}
one_way_turn() {
	bench_contender=$1
	if ! nodes_start "$2"; then
		say "    $1 does not start"
	else
		bg_ns g "$TT_WORK/sink.txt" "$TT_TOOLS/udp_flood" sink 7777
		# 28 bytes of inner headers: packets of 1420 bytes, payload of 64
		add one-way-1420 kpps "$(one_way_udp 1392 "$raw_1420")"
		add one-way-64 kpps "$(one_way_udp 64 "$raw_64")"
		kill_pids 1 "$BG_PID"
	fi
	nodes_stop
}
one_way() {
	local round raw_1420 raw_64
	in_ns g ethtool -K v0 tx-udp-segmentation off
	in_ns c ethtool -K v0 tx-udp-segmentation off
	for ((round = 1; round <= rounds; round++)); do
		say "bench: one-way, round $round of $rounds"
		bench_contender=raw-af-xdp
		in_ns c taltun bench xdp v0 --peer "$(ns_name g):v0" --ms $((seconds * 1000)) --json >"$TT_WORK/raw.json"
		raw_1420=$(jq '.rows[] | select(.bytes == 1420) | .rx_pps / 1000' "$TT_WORK/raw.json")
		raw_64=$(jq '.rows[] | select(.bytes == 64) | .rx_pps / 1000' "$TT_WORK/raw.json")
		add one-way-1420 kpps "$raw_1420"
		add one-way-64 kpps "$raw_64"
		one_way_turn taltun-xdp xdp
		one_way_turn taltun socket
	done
}

# --- the whole -----------------------------------------------------------------------------------

# metric, contender, reference, factor
goals() {
	cat <<-END
		tunnel-under-junk taltun xdp-drop 0.95
		beside-tcp taltun xdp-pass 0.95
		beside-udp taltun xdp-pass 0.95
		beside-udp-64 taltun xdp-pass 0.95
		one-way-1420 taltun-xdp raw-af-xdp 0.8
		one-way-64 taltun-xdp taltun 1.2
	END
}
print_results() {
	local metric of ref factor
	jq -r '.results[] | "\(.metric)\t\(.contender)\t\(.median * 100 | round / 100)\t\(.unit)\t\(.runs | min) .. \(.runs | max)"' "$1" |
		awk -F '\t' '{ printf "%-26s %-12s %12s %-8s %s\n", $1, $2, $3, $4, $5 }'
	goals | while read -r metric of ref factor; do
		jq -r --arg m "$metric" --arg of "$of" --arg ref "$ref" --argjson k "$factor" '
			def med(c): [.results[] | select(.metric == $m and .contender == c)][0].median;
			med($of) as $a | med($ref) as $b | if ($a // 0) > 0 and ($b // 0) > 0 then
				"\(if $a / $b >= $k then "met    " else "not met" end)  \($m): \($of) is \($a / $b * 100 | round / 100)x \($ref) (wanted: at least \($k))"
			else empty end' "$1"
	done
	jq -r '.results[] | select(.metric == "daemon-cpu-under-junk" and .contender == "taltun")
		| "\(if .median < 1 then "met    " else "not met" end)  daemon under junk: \(.median) % of a core (wanted: below 1)"' "$1"
}

ns_add g c j
veth g v0 10.8.0.1/24 c v0 10.8.0.2/24
veth g v1 10.9.0.1/24 j v1 10.9.0.2/24
wg_keys g c
for measurement in "$@"; do
	"${measurement//-/_}"
done
report_json >"$TT_WORK/report.json"
print_results "$TT_WORK/report.json"
if [ "$out" != - ]; then
	out=${out:-$TT_ROOT/docs/bench/$(date -u +%Y-%m-%d)-$name.json}
	mkdir -p "$(dirname "$out")" && cp "$TT_WORK/report.json" "$out" && say "bench: raw results in $out"
fi
