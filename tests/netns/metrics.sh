#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A node's metrics: promtool finds nothing to say, values move with the traffic, a reload moves and
# ends them, and no scraper, however it behaves, is felt by the tunnel. TT_ALL=1: a longer flood.
#
#   a [10.77.0.1, metrics] v0 10.8.0.1 ---- 10.8.0.2 v0 [10.77.0.2] b
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq curl ping socat python3
need_taltund
ABUSE=$TT_ROOT/tests/netns/support/scrape_abuse.py
PORT=9586
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
in_ns a ip link set lo up
a=$(ifname a) b=$(ifname b)
wg_keys a b

# config_a [LINE]...: of [metrics]; none: no such section
config_a() {
	toml "$TT_WORK/a.toml" "$a" a 10.77.0.1/24 "listen_port = 51820"
	if [ $# -gt 0 ]; then
		{ echo "[metrics]" && printf '%s\n' "$@"; } >>"$TT_WORK/a.toml"
	fi
	toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
}

page=$TT_WORK/page
scrape() {
	in_ns a curl -sS -m 30 -o "$page" "http://127.0.0.1:$PORT/metrics"
}

http_status() {
	in_ns a curl -s -m 30 -o "$TT_WORK/body" -w '%{http_code}' "http://127.0.0.1:$PORT$1"
}

# value SERIES: of the page scraped last; "" where it has none. SERIES may end inside its labels.
value() {
	awk -v s="$1" 'index($0, s) == 1 && (length($1) == length(s) || s ~ /[{,"]/) { print $NF; exit }' "$page"
}

# scraped_at_least N SERIES
scraped_at_least() {
	scrape && awk -v v="$(value "$2")" -v n="$1" 'BEGIN { exit !(v != "" && v + 0 >= n) }'
}

lint() {
	local said
	said=$(promtool check metrics <"$page" 2>&1) && [ -z "$said" ] && return
	echo "$said"
	return 1
}

config_a "listen = \"127.0.0.1:$PORT\""
toml "$TT_WORK/b.toml" "$b" b 10.77.0.2/24 "listen_port = 51820"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32
check "a starts with metrics" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"

# --- what they say ------------------------------------------------------------------------------

check "traffic" wait_for 20 in_ns a ping -n -c 1 -W 1 10.77.0.2
check "a scrape" scrape
if command -v promtool >/dev/null; then
	check "promtool has nothing to say" lint
else
	skip "no promtool"
fi
equal "one session" 1 "$(value taltun_sessions_active)"
equal "one peer online" 1 "$(value 'taltun_peers{status="online"}')"
equal "its path" 1 "$(awk '/^taltun_peer_path_info/ && /peer="b"/ && /path="direct"/ { print $NF }' "$page")"
equal "a handshake was timed" 1 "$(value taltun_handshake_duration_seconds_count)"
less "the last handshake's age" "$(value 'taltun_peer_handshake_age_seconds{')" 60
less "its round trip" 0 "$(value 'taltun_peer_rtt_seconds{')"
equal "the names are those of the golden file" "$(cat "$TT_ROOT/tests/golden/metrics-node.txt")" \
	"$(sed -n 's/^# TYPE //p' "$page")"
before=$(value 'taltun_peer_sent_bytes_total{')
check "a megabyte" stream a b 10.77.0.2 1000000
check "the peer's bytes have grown" wait_for 20 scraped_at_least $((before + 1000000)) \
	'taltun_peer_sent_bytes_total{'
less "batches hold packets" 0 "$(value 'taltun_worker_send_batches_total{')"
less "a worker has used its CPU" 0 "$(value 'taltun_worker_cpu_seconds_total{')"
bad=$(value 'taltun_dropped_packets_total{reason="rx_bad_type"}')
in_ns b bash -c 'echo nonsense >/dev/udp/10.8.0.1/51820'
check "a drop is counted by its reason" wait_for 20 scraped_at_least $((bad + 1)) \
	'taltun_dropped_packets_total{reason="rx_bad_type"}'

equal "alive" 200 "$(http_status /healthz)"
equal "ready" 200 "$(http_status /readyz)"
in_ns a ip link set "$a" down
not_ready() { [ "$(http_status /readyz)" = 503 ]; }
check "not ready while the interface is down" wait_for 20 not_ready
in_ns a ip link set "$a" up
is_ready() { [ "$(http_status /readyz)" = 200 ]; }
check "ready again" wait_for 20 is_ready
check "traffic again" wait_for 20 in_ns a ping -n -c 1 -W 1 10.77.0.2

# --- abuse ----------------------------------------------------------------------------------------

engine=$(engine_pid a "$a")
fds() { find "/proc/$engine/fd" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
fds_back() { [ "$(fds)" -le $((fds_before + 2)) ]; }
fds_before=$(fds) memory_before=$(rss_kb "$(tt_pid a "$a")")
requests=10000 seconds=6
[ -z "${TT_ALL:-}" ] || { requests=100000 seconds=60; }

bg_ns a "$TT_WORK/ping.txt" ping -n -i 0.02 -W 5 10.77.0.2
pinger=$BG_PID
bg_ns a "$TT_WORK/drip.txt" python3 "$ABUSE" drip "$PORT" $((seconds - 1))
drip=$BG_PID
scrape && rendered=$(value taltun_http_renderings_total)
began=${EPOCHREALTIME/[.,]/}
in_ns a python3 "$ABUSE" flood "$PORT" "$requests" "$seconds" >"$TT_WORK/flood.txt" &
flood=$!
check "case 40: a stream while scrapers flood" stream a b 10.77.0.2 20000000
check "a scrape meanwhile" wait_for 30 scrape
wait "$flood"
took_ms=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
read -r served refused <"$TT_WORK/flood.txt"
less "requests of the flood that were answered (of $((served + refused)) in $took_ms ms)" 100 "$served"
check "odd requests get what they deserve" in_ns a python3 "$ABUSE" odd "$PORT"
wait "$drip"
check "a scrape after that" wait_for 40 scrape
# one in 250 ms at most, and what was asked for by this script
rendered=$(($(value taltun_http_renderings_total) - rendered))
took_ms=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
less "pages were written once in 250 ms at most" "$rendered" $((took_ms / 250 + 3))
kill -INT "$pinger" 2>/dev/null
wait "$pinger"
equal "no ping was lost" 0 "$(ping_lost "$TT_WORK/ping.txt")"
equal "the engine is the same" "$engine" "$(engine_pid a "$a")"
check "its descriptors are closed" wait_for 40 fds_back
less "KiB of memory that are new" $(($(rss_kb "$(tt_pid a "$a")") - memory_before)) 8192

# --- by AF_XDP ------------------------------------------------------------------------------------

config_a "listen = \"127.0.0.1:$PORT\"" "[datapath]" 'mode = "xdp"' 'interfaces = ["v0"]'
check "a reload to AF_XDP" in_ns a taltun reload "$a"
by_xdp() { scrape && grep -qE '^taltun_xdp_attach_mode\{device="v0",mode="(native copy|generic)"\} 1$' "$page"; }
if wait_for 20 by_xdp; then
	pass "the attach mode"
	xdp_receives() {
		in_ns a ping -n -q -i 0.02 -c 10 10.77.0.2
		scraped_at_least 5 'taltun_xdp_queue_received_packets_total{device="v0",queue="0"}'
	}
	check "its queue receives" wait_for 20 xdp_receives
	less "its memory has frames" 100 "$(value 'taltun_xdp_queue_memory_frames{device="v0",queue="0"}')"
	less "the steering program has seen packets by it" 0 \
		"$(value 'taltun_xdp_packets_total{device="v0",queue="0",reason="redirected"}')"
	command -v promtool >/dev/null && check "promtool has nothing to say" lint
else
	skip "no AF_XDP here"
fi

# --- elsewhere, and nowhere -----------------------------------------------------------------------

socket=/run/taltun/metrics.sock
config_a "listen = \"unix:$socket\"" "per_peer = false"
check "a reload moves them to a Unix socket" in_ns a taltun reload "$a"
check_not "nobody listens by TCP" in_ns a curl -s -m 5 "http://127.0.0.1:$PORT/metrics"
check "a scrape by the socket" in_ns a curl -sS -m 30 --unix-socket "$socket" -o "$page" http://x/metrics
equal "its mode" 660 "$(in_ns a stat -c %a "$socket")"
equal "no series per peer" "" "$(value 'taltun_peer_sent_bytes_total{')"
equal "but their number" 1 "$(value 'taltun_peers{status="online"}')"

config_a
check "a reload ends them" in_ns a taltun reload "$a"
check_not "the socket is gone" in_ns a test -e "$socket"

bg_ns a "$TT_WORK/other.txt" socat "TCP-LISTEN:$PORT,bind=127.0.0.1,fork,reuseaddr" SYSTEM:true
other=$BG_PID
wait_for 20 listening a "$PORT"
config_a "listen = \"127.0.0.1:$PORT\""
check_not "an address that is taken fails a reload" in_ns a taltun reload "$a"
check "the tunnel goes on" in_ns a ping -n -c 1 -W 5 10.77.0.2
config_a "listen = \"127.0.0.1:$((PORT + 1))\"" "[datapath]" "workers = 3"
check_not "another is refused with its file" in_ns a taltun reload "$a"
kill_pids 2 "$other"
check "the one in force is tried again" wait_for 30 scrape
config_a 'listen = "127.0.0.1"'
check_not "an address without a port is refused" in_ns a taltun reload "$a"
check "and what was served is served" scrape

kill -KILL "$(engine_pid a "$a")"
restarted() { scrape && [ "$(value taltun_engine_restarts_total)" = 1 ]; }
check "an engine that was killed leaves its successor the socket" wait_for 20 restarted
tt_stop a "$a"

# --- a thousand peers, without a file -------------------------------------------------------------

export TALTUN_METRICS_LISTEN=127.0.0.1:$PORT
u=$(ifname u)
tt_start a "$u"
unset TALTUN_METRICS_LISTEN
{
	echo "[Interface]"
	echo "PrivateKey = $(key a)"
	python3 -c 'import base64, os
for i in range(1000):
    print("[Peer]\nPublicKey =", base64.b64encode(os.urandom(32)).decode())
    print("AllowedIPs = 10.9.%d.%d/32" % (i // 250, i % 250))'
} >"$TT_WORK/many.conf"
check "a node without a file has metrics by its environment" wait_for 20 scrape
check "a thousand peers" in_ns a wg setconf "$u" "$TT_WORK/many.conf"
many() { scrape && [ "$(grep -c '^taltun_peer_sent_bytes_total{' "$page")" = 1000 ]; }
check "have their series" wait_for 20 many
command -v promtool >/dev/null && check "and promtool has nothing to say" lint
# written_ms: how long it took since the page before, on average
written_ms() {
	local s n
	s=$(value taltun_http_render_seconds_total) n=$(value taltun_http_renderings_total)
	sleep 0.3
	scrape
	sleep 0.3
	scrape
	awk -v s="$s" -v n="$n" -v t="$(value taltun_http_render_seconds_total)" \
		-v m="$(value taltun_http_renderings_total)" 'BEGIN { printf "%.1f", (t - s) / (m - n) * 1000 }'
}
# 20 ms on a machine that does nothing else; a test has company
less "ms to write a page" "$(written_ms)" 500
tt_stop a "$u"
finish
