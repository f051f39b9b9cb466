#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a monitoring system and an operator see of a hub: metrics, health, the log. The families are
# those of tests/golden/metrics-hub.txt (TALTUN_GOLDEN_WRITE=1 makes it anew), the numbers are what was done,
# a flood of strangers leaves its count behind and no flood of lines, and scrapers that do not read
# hold nobody up.
. "$(dirname "$0")/lib.sh"

need_root
need_commands python3 jq curl openssl socat
HUB=$TT_BIN/taltun-hub CLIENT=$TT_TOOLS/hub_client
if [ ! -x "$HUB" ] || [ ! -x "$CLIENT" ]; then
	skip_all "make all tools first"
fi
ns_add a
in_ns a ip link set lo up
in_ns a ip addr add 198.51.100.1/32 dev lo
D=$TT_WORK/hub
AT=127.0.0.1:14443 PAGE=http://127.0.0.1:9587

hub() { in_ns a "$HUB" "$@" --dir "$D"; }
get() { in_ns a curl -sS -m 5 "$@"; }
get_status() { get -o /dev/null -w '%{http_code}' "$@"; }
page() { get "$PAGE/metrics"; }
# value NAME: of the sample with this name and these labels
value() { page | awk -v name="$1" '$1 == name { print $2 }'; }
is() { [ "$(value "$1")" = "$2" ]; }
# the hub uses a rendering again for a moment
becomes() { wait_for 10 is "$1" "$2"; }
above() { [ "$(value "$1")" -gt "$2" ]; }
serve() {
	bg_ns a "$TT_WORK/hub.log" "$HUB" serve --dir "$D"
	HUB_PID=$BG_PID
	wait_for 10 hub status || fail "the hub does not answer"
}
stop_hub() {
	kill -TERM "$HUB_PID"
	wait_for 5 hub_is_gone
}
is_ready() { [ "$(get_status "$PAGE/readyz")" = 200 ]; }
level_is() { [ "$(hub log-level)" = "$1" ]; }
hub_is_gone() { ! kill -0 "$HUB_PID" 2>/dev/null; }
# A command for a connected node; it is lost where the node is not there any more.
# shellcheck disable=SC2016
tell() { timeout 2 sh -c 'echo "$2" >"$1"' sh "$TT_WORK/$1.in" "$2"; }
hub_toml() { # LISTEN
	cat >"$D/hub.toml" <<-END
		[hub]
		listen = ["0.0.0.0:14443"]
		[stun]
		udp_port = 13478
		[relay]
		udp_port = 13479
	END
	[ -z "${1-}" ] || printf '[metrics]\nlisten = "%s"\n' "$1" >>"$D/hub.toml"
}
bad_listen() { # LISTEN
	hub_toml "$1"
	hub serve >"$TT_WORK/bad.out" 2>&1
	[ $? -eq 78 ] && grep -q 'listen must be\|longer than' "$TT_WORK/bad.out"
}

check "init" hub init --name "$AT"

echo "--- where they are"
for bad in nonsense 127.0.0.1 127.0.0.1:0 unix:relative "unix:/$(printf '%0120d' 0)"; do
	check "listen = ${bad:0:16} is refused" bad_listen "$bad"
done
hub_toml
serve
check_not "nothing is served unasked" get_status "$PAGE/metrics"
stop_hub
hub_toml "unix:$TT_WORK/metrics.sock"
serve
equal "a Unix socket" 200 "$(get_status --unix-socket "$TT_WORK/metrics.sock" http://hub/metrics)"
equal "its mode" 660 "$(stat -c %a "$TT_WORK/metrics.sock")"
kill -KILL "$HUB_PID"
wait "$HUB_PID" 2>/dev/null
serve
equal "what a killed hub left is replaced" 200 \
	"$(get_status --unix-socket "$TT_WORK/metrics.sock" http://hub/readyz)"
stop_hub
check_not "it goes with the hub" test -e "$TT_WORK/metrics.sock"
hub_toml 127.0.0.1:9587
: >"$TT_WORK/hub.log"
serve

echo "--- what they say"
page >"$TT_WORK/page"
golden=$TT_ROOT/tests/golden/metrics-hub.txt
awk '$1 == "#" && $2 == "TYPE" { print $3, $4 }' "$TT_WORK/page" >"$TT_WORK/families"
[ -z "${TALTUN_GOLDEN_WRITE-}" ] || cp "$TT_WORK/families" "$golden"
check "the families" diff -u "$golden" "$TT_WORK/families"
if command -v promtool >/dev/null; then
	check "promtool has nothing to say" promtool check metrics <"$TT_WORK/page"
else
	skip "promtool is not installed"
fi
equal "healthy" "200 ok" "$(get_status "$PAGE/healthz") $(get "$PAGE/healthz")"
check "ready" wait_for 10 is_ready
equal "another page" 404 "$(get_status "$PAGE/")"
equal "a page of somebody's browser" 421 "$(get_status -H 'Host: evil.example' "$PAGE/metrics")"
ends=$(date -d "$(openssl x509 -in "$D/server.crt" -noout -enddate | cut -d= -f2)" +%s)
check "when the certificate ends" is \
	'taltun_hub_certificate_expiry_timestamp_seconds{certificate="server"}' "$ends"
ends=$(date -d "$(openssl x509 -in "$D/ca.crt" -noout -enddate | cut -d= -f2)" +%s)
check "when the CA's does" is 'taltun_hub_certificate_expiry_timestamp_seconds{certificate="ca"}' "$ends"
check "the signer works" is taltun_hub_signer_up 1

token=$(hub token create --name gw --role gateway)
in_ns a "$CLIENT" enroll "$token" "$TT_WORK/gw" >/dev/null
in_ns a "$CLIENT" enroll "$(hub token create --name lap)" "$TT_WORK/lap" >/dev/null
check "two enrolments" becomes 'taltun_hub_enrolments_total{outcome="enrolled"}' 2
in_ns a "$CLIENT" enroll "$token" "$TT_WORK/x" >/dev/null
check "one that was refused" becomes 'taltun_hub_auth_failures_total{method="token"}' 1
for n in gw lap; do
	mkfifo "$TT_WORK/$n.in"
	# shellcheck disable=SC2016
	bg_ns a "$TT_WORK/$n.out" sh -c 'exec <>"$1"; exec "$2" run "$3"' sh "$TT_WORK/$n.in" \
		"$CLIENT" "$TT_WORK/$n"
done
check "two nodes are here" becomes taltun_hub_nodes_connected 2
check "maps went out" above taltun_hub_map_updates_total 0
tell lap "relay 1 packet"
check "a packet relayed by TCP" becomes 'taltun_hub_relay_packets_total{leg="tcp"}' 1
tell lap "relay 7 packet"
check "one to nobody" becomes 'taltun_hub_relay_drops_total{leg="tcp",reason="policy"}' 1
echo nonsense | in_ns a socat -u - UDP4:127.0.0.1:13479
check "a datagram that is none of the relay's" becomes \
	'taltun_hub_relay_drops_total{leg="udp",reason="malformed"}' 1
if [ -x "$TT_BIN/taltun" ]; then
	in_ns a "$TT_BIN/taltun" stun 198.51.100.1:13478 >/dev/null
	check "a STUN request" becomes 'taltun_hub_stun_requests_total{outcome="answered"}' 1
else
	skip "no taltun"
fi

echo "--- the log"
equal "the level" info "$(hub log-level)"
equal "is another" debug "$(hub log-level debug)"
equal "as JSON" '{"level":"debug"}' "$(hub log-level --json)"
check "and the log says so" grep -q 'event=log.level is=debug' "$TT_WORK/hub.log"
check_not "no such level" hub log-level loud
kill -HUP "$HUB_PID"
check "a reload takes that of the file" wait_for 5 level_is info
# A hundred, which is what one source may open at once, and no TLS: more than are written in a second.
cat >"$TT_WORK/flood.py" <<'END'
import socket
for i in range(100):
    try:
        with socket.create_connection(("127.0.0.1", 14443), 2) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            s.recv(1)
    except OSError:
        pass
END
summary() { grep -q 'event=log.suppressed of=auth.failed reason=tls count=' "$TT_WORK/hub.log"; }
# on a machine that is busy it may take so long that no second has too many
flood() {
	in_ns a python3 "$TT_WORK/flood.py"
	wait_for 4 summary
}
check "a flood leaves its number behind" wait_for 20 flood
# all that failed: what was written, and what the lines say was left out
told() {
	awk '/event=auth.failed .*method=tls/ { n++ }
		/event=auth.failed .*method=tls/ && match($0, / suppressed=[0-9]+/) {
			n += substr($0, RSTART + 12, RLENGTH - 12) }
		/event=log.suppressed of=auth.failed reason=tls/ && match($0, / count=[0-9]+/) {
			n += substr($0, RSTART + 7, RLENGTH - 7) }
		END { print n + 0 }' "$TT_WORK/hub.log"
}
all_told() { [ "$(told)" = "$(value 'taltun_hub_auth_failures_total{method="tls"}')" ]; }
check "a flood is counted" above 'taltun_hub_auth_failures_total{method="tls"}' 50
check "the log accounts for all of it" wait_for 15 all_told

echo "--- scrapers that do not read"
cat >"$TT_WORK/idle.py" <<'END'
import socket, sys, time
held = []
for i in range(100):
    try:
        s = socket.create_connection(("127.0.0.1", 9587), 2)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + (b"\r\n" if i % 2 else b""))
        held.append(s)
    except OSError:
        pass
print("held", flush=True)
time.sleep(20)
END
bg_ns a "$TT_WORK/idle.out" python3 "$TT_WORK/idle.py"
idle=$BG_PID
check "a hundred connections" wait_for 15 grep -q held "$TT_WORK/idle.out"
check "the hub answers all the same" hub status
tell lap "relay 1 another"
check "and relays" wait_for 10 grep -q '^packet from=2 .*another' "$TT_WORK/gw.out"
kill "$idle"
check "and is scraped when they have gone" wait_for 15 above taltun_hub_nodes_connected 1
finish
