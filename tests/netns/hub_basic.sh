#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The hub from outside: init, serve, tokens, enrolment, maps, signals, relay by TCP, revocation,
# restart; and who it must not let in, be held up by, or be brought down by. One namespace; the
# nodes are tests/tools/hub_client.c.
. "$(dirname "$0")/lib.sh"

need_root
need_commands python3 jq
HUB=$TT_BIN/taltun-hub CLIENT=$TT_TOOLS/hub_client
if [ ! -x "$HUB" ] || [ ! -x "$CLIENT" ]; then
	skip_all "make all tools first"
fi
ns_add a
in_ns a ip link set lo up
in_ns a ip addr add 198.51.100.1/32 dev lo
D=$TT_WORK/hub PORT=14443
AT=127.0.0.1:$PORT

hub() { in_ns a "$HUB" "$@" --dir "$D"; }
token() { hub token create "$@"; }
status() { hub status --json; }
counter() { status | jq "$1"; }
at_least() { [ "$(counter "$2")" -ge "$1" ]; }
few_connections() { [ "$(counter .connections.connections)" -lt 20 ]; }
serve() {
	bg_ns a "$TT_WORK/hub.log" "$HUB" serve --dir "$D"
	HUB_PID=$BG_PID
	wait_for 10 hub status >/dev/null || fail "the hub does not answer"
}
stop_hub() {
	kill -TERM "$HUB_PID" 2>/dev/null
	wait_for 3 hub_is_gone
}
hub_is_gone() { ! kill -0 "$HUB_PID" 2>/dev/null; }
enroll() { # TOKEN NAME
	in_ns a "$CLIENT" enroll "$1" "$TT_WORK/$2"
}
# A node that stays connected: commands by `tell NAME COMMAND...`, what it hears is in NAME.out.
connect() { # NAME [OPTION]...
	local name=$1
	shift
	rm -f "$TT_WORK/$name.in"
	mkfifo "$TT_WORK/$name.in"
	: >"$TT_WORK/$name.out"
	# shellcheck disable=SC2016
	bg_ns a "$TT_WORK/$name.out" sh -c 'exec <>"$1"; shift; exec "$@"' sh \
		"$TT_WORK/$name.in" "$CLIENT" run "$TT_WORK/$name" "$@"
	eval "PID_$name=\$BG_PID"
}
tell() { # NAME COMMAND
	local name=$1
	shift
	printf '%s\n' "$*" >"$TT_WORK/$name.in"
}
heard() { grep -q -- "$2" "$TT_WORK/$1.out"; }
hears() { wait_for "${3:-5}" heard "$1" "$2"; }
listening() { hears "$1" '^welcome'; }

# --- init --------------------------------------------------------------------------------------

check "init" hub init --name "$AT"
check_not "init does not overwrite" hub init --name "$AT"
equal "mode of the CA's key" 600 "$(stat -c %a "$D/ca.key")"
equal "mode of the database" 600 "$(stat -c %a "$D/hub.db")"
check_not "a public pool is refused" in_ns a "$HUB" init --dir "$TT_WORK/x" --name h --pool 8.8.0.0/16
check_not "a name that is none is refused" in_ns a "$HUB" init --dir "$TT_WORK/x" --name 'h h'
printf '[hub]\nlisten = ["127.0.0.1:%s"]\nport = 3\n' $PORT >"$D/hub.toml"
out=$(hub serve 2>&1)
equal "an unknown key ends with 78" 78 $?
equal "and names its place" "taltun-hub: $D/hub.toml:3:1: unknown key \"port\" in [hub]" "$out"
printf '[limits]\nsilent_ms = "x"\n' >"$D/hub.toml"
hub serve >/dev/null 2>&1
equal "a bad value ends with 78" 78 $?
cat >"$D/hub.toml" <<END
[hub]
listen = ["0.0.0.0:$PORT"]
[stun]
udp_port = 13478
[relay]
udp_port = 13479
[limits]
handshake_ms = 8000
END
hub status >/dev/null 2>&1
equal "status without a hub ends with 3" 3 $?
serve
check "serves" hub status
bg_ns a "$TT_WORK/second.log" "$HUB" serve --dir "$D"
SECOND=$BG_PID
check "a second one does not start" wait_for 5 eval "! kill -0 $SECOND"

# --- the signer ----------------------------------------------------------------------------------

SIGNER=$(pgrep -P "$HUB_PID" -x taltun-signer)
check "the signer is a process of its own" test -n "$SIGNER"
equal "it has no capability" 0000000000000000 "$(awk '/^CapEff/{print $2}' "/proc/$SIGNER/status")"
equal "and no user's uid" 65534 "$(awk '/^Uid/{print $2}' "/proc/$SIGNER/status")"
equal "its descriptors: 0, 1, 2 and one socket" 4 "$(find "/proc/$SIGNER/fd" -type l | wc -l)"
equal "the hub has no capability" 0000000000000000 "$(awk '/^CapEff/{print $2}' "/proc/$HUB_PID/status")"

# --- enrolment ----------------------------------------------------------------------------------

T=$(token --name gw --role gateway --subnet 192.168.7.0/24)
equal "a token is one line" 1 "$(wc -l <<<"$T")"
check "the gateway enrols" enroll "$T" gw
equal "it has the first address" 10.90.0.1 "$(hub node show gw --json | jq -r '.addresses[0]')"
for n in a b; do
	check "$n enrols" enroll "$(token --name lap-$n)" $n
done
check_not "a token with another CA's fingerprint" enroll "${T%.*}.$(head -c 43 /dev/zero | tr '\0' A)" x
check_not "a token with another secret" enroll \
	"$(token --name y | sed -E 's/\.[^.]{43}\./.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA./')" x
T=$(token --name short --expires 1s)
sleep 1.2
check_not "an expired token" enroll "$T" x
equal "is listed as such" expired "$(hub token list --json | jq -r '.[]|select(.name=="short").state')"
T=$(token --name gone)
hub token revoke "$(hub token list --json | jq -r '.[]|select(.name=="gone").id')"
check_not "a revoked token" enroll "$T" x

# case 22: one token, several at the same time
for round in 1 2 3; do
	T=$(token --name "race-$round")
	for i in 1 2 3 4; do
		bg_ns a "$TT_WORK/race$round.$i" "$CLIENT" enroll "$T" "$TT_WORK/race-$round-$i"
		eval "R$i=$BG_PID"
	done
	for i in 1 2 3 4; do
		wait_for 10 eval "! kill -0 \$R$i"
	done
	equal "case 22, round $round: exactly one wins" 1 "$(cat "$TT_WORK/race$round".? | grep -c ^enrolled)"
	equal "case 22, round $round: the others hear why" 3 "$(cat "$TT_WORK/race$round".? | grep -c 'used already')"
done

# --- maps, signals, relay -------------------------------------------------------------------------

connect gw
connect a
connect b
check "the gateway is welcome" listening gw
check "laptop a is welcome" listening a
check "laptop b is welcome" listening b
check "a sees the gateway" hears a '^peer-.* name=gw online=1'
check_not "a does not see b" heard a 'name=lap-b'
check "the gateway sees both" hears gw 'name=lap-b online=1'
tell a "signal 1 hello-from-a"
check "a signal arrives" hears gw '^signal from=2 hello-from-a'
tell a "relay 1 packet-from-a"
check "a packet is relayed by TCP" hears gw '^packet from=2 .*packet-from-a'
tell a "signal 3 no"
check "a signal to who is not in the map fails" hears a '^signal-failed id=3 reason=1'
tell a "relay 3 no-packet"
check "a packet to it goes nowhere" wait_for 5 at_least 1 .counters.relay_refused_policy
check_not "and b hears nothing" heard b packet
hub allow staff staff
check_not "a bad group" hub allow 'Staff!' x
tell a "open 1"
check "the relay by UDP opens at one end" hears a '^relay-opened id=1'
check "and at the other" hears gw '^relay-opened id=2'
tell a renew
check "a certificate is renewed" hears a '^renewed bytes='

# rules between groups
check "a member of a group enrols" enroll "$(token --name s1 --group staff)" s1
check "another one" enroll "$(token --name s2 --group staff)" s2
connect s1
connect s2
check "members of a group with a rule see each other" hears s1 'name=s2 online=1'
check_not "others do not" heard a 'name=s1'
check "a rule is taken back" hub deny staff staff
check "and they are gone from each other's maps" hears s1 '^peer-removed .* name=s2' 2

# --- revocation -----------------------------------------------------------------------------------

hub node revoke lap-b >/dev/null
BEGAN=${EPOCHREALTIME/[.,]/}
check "a revoked node loses its connection" hears b '^error 4' 2
check "and leaves the gateway's map" hears gw '^peer-removed .* name=lap-b' 2
MS=$(((${EPOCHREALTIME/[.,]/} - BEGAN) / 1000))
check "within 2 s ($MS ms)" test $MS -lt $((2000 * TT_PATIENCE))
connect b
check "it is not let in again" hears b '^error 4'

# case 21: the same node twice: the newer connection is the one
cp -r "$TT_WORK/a" "$TT_WORK/a2"
connect a2
check "case 21: the second connection is welcome" listening a2
check "case 21: the first hears that it is replaced" hears a '^error 5'
tell a2 "signal 1 from-a2"
check "case 21: the second one works" hears gw '^signal from=2 from-a2'
tell gw "signal 2 to-a2"
check "case 21: what is for the node comes there" hears a2 '^signal from=1 to-a2'
equal "case 21: it is counted" 1 "$(counter .connections.closed.replaced)"

# Its name with another node's key, and the other way round: by the hub's own CA, and still nobody's.
cp -r "$TT_WORK/a2" "$TT_WORK/thief"
cp "$TT_WORK/gw/wg.pub" "$TT_WORK/thief/wg.pub"
in_ns a "$CLIENT" forge "$D" lap-a -60 7200 "$TT_WORK/thief"
connect thief
check "case 21: another node's key under this name is refused" hears thief '^error 4'
in_ns a "$CLIENT" forge "$D" nobody -60 7200 "$TT_WORK/thief"
connect thief
check "case 21: and its own under another name" hears thief '^error 4'
check_not "case 21: neither gets a welcome" heard thief '^welcome'
tell a2 "signal 1 still-a2"
check "case 21: who has the key is connected still" hears gw '^signal from=2 still-a2'

# case 26: certificates that must not do
refused() { # WHAT COUNTER NAME [OPTION]...
	local what=$1 field=.connections.tls_failed.$2 before
	before=$(counter "$field")
	shift 2
	connect "$@"
	check "case 26: $what is refused" hears "$1" '^\(closed\|failed\)'
	check_not "case 26: $what gets no welcome" heard "$1" '^welcome'
	check "case 26: $what is counted" wait_for 5 at_least $((before + 1)) "$field"
}
for n in expired early other server; do
	cp -r "$TT_WORK/a2" "$TT_WORK/$n"
done
in_ns a "$CLIENT" forge "$D" lap-a -7200 -3600 "$TT_WORK/expired"
in_ns a "$CLIENT" forge "$D" lap-a 3600 7200 "$TT_WORK/early"
in_ns a "$HUB" init --dir "$TT_WORK/hub2" --name "$AT" >/dev/null
in_ns a "$CLIENT" forge "$TT_WORK/hub2" lap-a -60 7200 "$TT_WORK/other"
refused "an expired certificate" expired expired
refused "one that is not valid yet" not_yet_valid early
refused "one of another CA" untrusted other
before=$(counter .connections.tls_failed.protocol)
equal "case 26: TLS 1.2" "tls12 refused" "$(in_ns a "$CLIENT" run "$TT_WORK/a2" --tls12)"
check "case 26: TLS 1.2 is counted" test "$(counter .connections.tls_failed.protocol)" -gt "$before"
cp "$TT_WORK/hub2/ca.crt" "$TT_WORK/server/ca.crt"
connect server
check "case 26: a node does not believe another CA's hub" hears server '^failed tls untrusted'
connect server --name elsewhere.example
cp "$D/ca.crt" "$TT_WORK/server/ca.crt"
connect server --name elsewhere.example
check "case 26: nor a hub of another name" hears server '^failed tls name'
tell a2 garbage
check "a bad frame ends the connection" hears a2 '^closed'

# --- case 25: slow ones ----------------------------------------------------------------------------

# The 99th percentile of 200 pings: the best of three looks, as other work on the machine makes it
# worse, and a hub that is held up is held up in all of them.
p99() {
	local best=999999999 one
	for _ in 1 2 3; do
		: >"$TT_WORK/gw.out"
		tell gw "ping 200"
		hears gw '^pong count=200' 20 || return 1
		one=$(sed -n 's/.*p99_us=\([0-9]*\).*/\1/p' "$TT_WORK/gw.out" | tail -n 1)
		[ "$one" -ge "$best" ] || best=$one
	done
	echo "$best"
}
QUIET=$(p99)
check "a healthy node's pings" test -n "$QUIET"
bg_ns a "$TT_WORK/slow.out" python3 "$TT_ROOT/tests/netns/support/slow_clients.py" 127.0.0.1 $PORT 1000
SLOW=$BG_PID
check "case 25: 1,000 dripping connections are open" wait_for 30 grep -q '^open 1000' "$TT_WORK/slow.out"
BUSY=$(p99)
check "case 25: the node's pings go on" test -n "$BUSY"
check "case 25: its p99 is flat ($QUIET us before, $BUSY us now)" test "$BUSY" -lt $((QUIET * 3 + 20000))
check "case 25: a new node connects meanwhile" eval 'connect a && listening a'
check "case 25: they are closed in time" wait_for 30 few_connections
check "case 25: and counted" test "$(counter .connections.closed.handshake_slow)" -ge 900
kill "$SLOW" 2>/dev/null

# --- case 35: no descriptor left -------------------------------------------------------------------

cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$HUB_PID/stat"; }
prlimit --pid "$HUB_PID" --nofile="$(($(find "/proc/$HUB_PID/fd" -type l | wc -l) + 3)):"
bg_ns a "$TT_WORK/many.out" python3 "$TT_ROOT/tests/netns/support/slow_clients.py" 127.0.0.1 $PORT 50
MANY=$BG_PID
check "case 35: 50 connections want descriptors that are not there" wait_for 20 grep -q '^open' "$TT_WORK/many.out"
BEFORE=$(cpu_ticks)
sleep 2
TICKS=$(($(cpu_ticks) - BEFORE))
check "case 35: the hub does not spin ($TICKS of 200 ticks)" test "$TICKS" -lt 60
: >"$TT_WORK/gw.out"
tell gw "ping 20"
check "case 35: who is connected is served" hears gw '^pong count=20' 20
kill "$MANY" 2>/dev/null
prlimit --pid "$HUB_PID" --nofile=20512:
check "case 35: with descriptors again a node connects" eval 'connect a && listening a'

# --- STUN ------------------------------------------------------------------------------------------

if [ -x "$TT_BIN/taltun" ]; then
	check "STUN is served" in_ns a "$TT_BIN/taltun" stun 198.51.100.1:13478
else
	skip "STUN: no taltun"
fi
if command -v turnutils_stunclient >/dev/null; then
	theirs() { in_ns a timeout 15 turnutils_stunclient -p 13478 198.51.100.1 2>&1; }
	check "STUN for any client: coturn's" grep -q 'UDP reflexive addr: 198.51.100.1:' <<<"$(theirs)"
else
	skip "STUN: no turnutils_stunclient"
fi

# --- restart ---------------------------------------------------------------------------------------

kill -HUP "$HUB_PID"
check "SIGHUP reads the certificate again" wait_for 5 grep -q event=hub.reloaded "$TT_WORK/hub.log"
check "renew-server" hub renew-server
BEGAN=${EPOCHREALTIME/[.,]/}
kill -TERM "$HUB_PID"
check "a restart is announced" hears gw '^restarting'
check "SIGTERM ends the hub" wait_for 3 hub_is_gone
MS=$(((${EPOCHREALTIME/[.,]/} - BEGAN) / 1000))
check "within 2 s ($MS ms)" test $MS -lt $((2000 * TT_PATIENCE))
wait "$HUB_PID"
equal "in order" 0 $?
check "the signer has ended" eval "! kill -0 $SIGNER"
check_not "the socket is gone" test -e "$D/control.sock"
serve
connect gw
check "it serves the same nodes again" listening gw
kill -9 "$HUB_PID"
check "kill -9: the signer ends with it" wait_for 3 eval '! pgrep -x -P 1 taltun-signer'
serve
connect gw
check "kill -9: it serves again" listening gw

# --- a name that DNS does not know ------------------------------------------------------------------

stop_hub
D1=$D D=$TT_WORK/nameless
hub init --name nowhere.invalid:$PORT >/dev/null
cp "$D1/hub.toml" "$D/hub.toml"
serve
for n in n1 n2; do
	role=client
	[ $n = n2 ] || role=gateway
	check "$n enrols at a hub without a name" in_ns a "$CLIENT" enroll "$(token --name $n --role $role)" \
		"$TT_WORK/$n" --at "$AT"
done
connect n1 --at "$AT"
connect n2 --at 198.51.100.1:$PORT
check "they connect" eval 'listening n1 && listening n2'
tell n1 "open 2"
check "the relay by UDP is where the connection came to" hears n1 '^relay-opened id=2 .* at=127.0.0.1:13479$'
check "for each of them" hears n2 '^relay-opened id=1 .* at=198.51.100.1:13479$'
stop_hub
D=$D1
serve

# --- case 39: the database's disk is full -----------------------------------------------------------

stop_hub
D2=$TT_WORK/small
mkdir "$D2"
# a mount of this test's own
in_ns a mount -t tmpfs -o size=2m tmpfs "$D2"
in_ns a cp -a "$D/." "$D2/"
D=$D2
serve
connect gw
check "case 39: serves from a small disk" listening gw
T=$(token --name late)
in_ns a sh -c "dd if=/dev/zero of=$D2/filler bs=4096 2>/dev/null; :"
out=$(token --name more --subnet 10.1.0.0/16 --role gateway 2>&1)
for i in $(seq 1 40); do
	out=$(token --name "more-$i" 2>&1) || break
done
equal "case 39: the operator hears of it" "taltun-hub: the disk is full" "$out"
check_not "case 39: an enrolment fails" enroll "$T" late
: >"$TT_WORK/gw.out"
tell gw "ping 20"
check "case 39: who is connected is served" hears gw '^pong count=20'
in_ns a rm "$D2/filler"
check "case 39: with room again the same token works" enroll "$T" late
stop_hub
# a user of its own, where the hub is started as root
rm -f "$D2/control.sock"
printf '[hub]\nlisten = ["%s"]\nuser = "daemon"\n[stun]\nudp_port = 0\n[relay]\nudp_port = 0\n' "$AT" |
	in_ns a tee "$D2/hub.toml" >/dev/null
chmod 711 "$TT_WORK"
serve
equal "the hub's own user" 1 "$(awk '/^Uid/{print $2}' "/proc/$HUB_PID/status")"
check "a node enrols" enroll "$(token --name of-user)" of-user
equal "files are that user's" "daemon daemon" "$(in_ns a stat -c %U "$D2/hub.db" "$D2/server.key" | paste -sd' ')"
equal "the CA's key is not" root "$(in_ns a stat -c %U "$D2/ca.key")"
check "renew-server" hub renew-server
stop_hub
in_ns a sh -c "head -c 8192 /dev/urandom >$D2/hub.db; rm -f $D2/hub.db-*"
out=$(hub serve 2>&1)
equal "a damaged database ends with 1" 1 $?
check "and says so" grep -q 'damaged' <<<"$out"
finish
