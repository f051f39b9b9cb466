#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What goes wrong around a mesh: a path that turns black, traffic one way, the hub killed, a node
# killed or asleep, one that is revoked; and who does not see whom. TT_ALL=1 takes the long times.
#
#             h (hub)     gw (gateway, public)
#                 \       /
#                  i (internet)
#                 /       \
#         box b1, port   box b2, sym     box b3, port
#              |            |               |
#              l1           l2              l3      laptops; l3 joins late
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
NATS_DELAY_MS=${NATS_DELAY_MS:-5}
long() { if [ -n "${TT_ALL:-}" ]; then echo "$2"; else echo "$1"; fi; }
check "an internet" nats_start
check "a hub" hub_start
check "gateway" node gw
check "gateway enrols" enroll gw --role gateway
for n in 1 2; do
	type=port
	[ $n = 1 ] || type=sym
	check "box of laptop l$n" box b$n $type
	check "laptop l$n" node l$n b$n
	check "enrols" enroll l$n --group staff
	check "sees the gateway" wait_for 5 can_ping l$n "$(node_ip gw)"
done
G=$(node_ip gw) L1=$(node_ip l1) L2=$(node_ip l2)
settle() { path_is gw "$1" "$2" && path_is "$1" gw "$3"; }
direct() { settle l1 punched direct; }
relayed() { can_ping l1 "$G" && settle l1 "$1" "$1"; } # silent paths are not looked at
check "l1 and the gateway: directly" wait_for 8 direct
for n in gw l1 l2; do
	events $n
done

# worst MESSAGE MS SECONDS COMMAND...: pings from l1 to the gateway while COMMAND runs.
worst() {
	local message=$1 limit=$2 seconds=$3 pinger file=$TT_WORK/gap.out
	shift 3
	: >"$file"
	calm_start "$seconds"
	pings l1 "$G" "$file" "$seconds"
	pinger=$BG_PID
	sleep 1
	"$@" || fail "$message: $*"
	wait "$pinger"
	less "$message: the worst gap, ms" "$(gap "$file")" "$(calm_limit "$limit")"
}
peers_of() { st "$1" '[.peers[].name] | sort | join(" ")'; }
sees_only() { [ "$(peers_of "$1")" = "$2" ]; }

# --- policy ------------------------------------------------------------------------------------------

equal "a laptop sees the gateway and nobody else" gw "$(peers_of l1)"
equal "the gateway sees the laptops" "l1 l2" "$(peers_of gw)"
check_not "laptops do not reach each other" can_ping l1 "$L2"
check "a rule" hub allow staff staff
both_see() { sees_only l1 "gw l2" && sees_only l2 "gw l1"; }
check "within 2 s they see each other" wait_for 2 both_see
check "and reach each other" wait_for 5 can_ping l1 "$L2"
path_is_relay() { path_is l1 l2 relay_udp && path_is l2 l1 relay_udp; }
check "port and sym: by the relay" wait_for 8 path_is_relay
check "the rule is taken back" hub deny staff staff
neither_sees() { sees_only l1 gw && sees_only l2 gw; }
check "within 2 s they do not" wait_for 2 neither_sees
check_not "nor reach each other" can_ping l1 "$L2"

# --- the direct path --------------------------------------------------------------------------------

check "l1 and the gateway: directly" wait_for 8 direct
had=$(of gw l1 handshakes)
black() { box_drop b1 with "${nats_addr[gw]}"; }
# said NODE CAUSE: its path has changed for this, since mark NODE.
declare -A marked
mark() { marked[$1]=$(wc -l <"$TT_WORK/events.$1"); }
said() {
	tail -n +$((marked[$1] + 1)) "$TT_WORK/events.$1" |
		jq -c --arg why "$2" 'select(.event == "path" and .why == $why)' | grep -q .
}
mark l1
worst "black hole on the direct path" 2000 5 black
check "by the relay" wait_for 8 relayed relay_udp
check "the laptop says why" wait_for 5 said l1 "the path fell silent"
equal "no handshake was needed" "$had" "$(of gw l1 handshakes)"
box_pass b1
reprobe() { in_ns l1 ip addr add 192.168.250.1/32 dev e0; }
worst "an address event: the direct path is found again" 500 4 reprobe
check "directly" wait_for 8 direct
in_ns l1 ip addr del 192.168.250.1/32 dev e0

# Only towards the laptop: its packets still leave, the gateway's do not come.
black_in() { in_ns b1 nft add rule inet tt_drop forward ip saddr "${nats_addr[gw]}" drop; }
mark gw
worst "black hole in one direction" 2000 6 black_in
check "by the relay" wait_for 8 relayed relay_udp
check "the gateway says why" wait_for 5 said gw "the peer has left the path"
box_pass b1
reprobe
check "directly again" wait_for 8 direct
in_ns l1 ip addr del 192.168.250.1/32 dev e0

# one_way FROM TO ADDRESS SECONDS: datagrams to a socket that never answers
one_way() {
	bg_ns "$2" "$TT_WORK/sink.log" socat -u UDP4-RECV:9000 OPEN:/dev/null
	local sink=$BG_PID
	in_ns "$1" timeout $(($4 + 10)) python3 - "$3" "$4" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.time() + float(sys.argv[2])
while time.time() < end:
    s.sendto(b"x" * 400, (sys.argv[1], 9000))
    time.sleep(0.01)
PY
	kill_pids 1 "$sink"
}
changes() { jq -c 'select(.event == "path")' "$TT_WORK/events.$1" | wc -l; }
sleep 1
before="$(changes l1) $(changes gw)"
check "UDP one way, out, $(long 8 60) s" one_way l1 gw "$G" "$(long 8 60)"
check "UDP one way, in, $(long 8 60) s" one_way gw l1 "$L1" "$(long 8 60)"
equal "has changed no path" "$before" "$(changes l1) $(changes gw)"

# --- the hub ------------------------------------------------------------------------------------------

check "l2 and the gateway: directly, too" wait_for 8 settle l2 punched direct
worst "the hub is killed: a direct tunnel does not notice" 300 4 hub_kill
down() { [ "$(st l1 .hub.state)" != up ]; }
check "the laptop says so" wait_for 40 down
check "the hub starts again" hub_serve
up() { [ "$(st l1 .hub.state)" = up ] && [ "$(st gw .hub.state)" = up ]; }
check "the nodes are back" wait_for 15 up
equal "the map is the same" "l1 l2" "$(peers_of gw)"

black
check "by the relay" wait_for 20 relayed relay_udp
check "which carries" can_ping l1 "$G"
worst "the hub is stopped and started: the relay is back" 8000 14 eval 'hub_stop; hub_serve'
check "by the relay" wait_for 8 relayed relay_udp
box_pass b1
reprobe
check "directly again" wait_for 8 direct
in_ns l1 ip addr del 192.168.250.1/32 dev e0
sleep 1

hub_kill
check "a laptop starts without the hub" eval 'node_down l1 && node_up l1'
check "and reaches the gateway by the map it kept" wait_for 8 can_ping l1 "$G"
check "its map says who is who" test "$(peers_of l1)" = gw
check "the hub starts again" hub_serve
check "the nodes are back" wait_for 30 up
check "directly" wait_for 10 direct

# --- nodes --------------------------------------------------------------------------------------------

kill_engine() { kill -KILL "$(node_engine l1)"; }
worst "engine killed" 3000 6 kill_engine
check "directly again" wait_for 8 direct
kill_engine_gw() { kill -KILL "$(node_engine gw)"; }
worst "engine of the gateway killed" 3000 6 kill_engine_gw
check "directly again" wait_for 8 direct
restart() { node_kill l1 && node_up l1; }
check "all of it killed and started" restart
check "it is back" wait_for 5 can_ping l1 "$G"
check "directly again" wait_for 8 direct

# Case 34: a suspended laptop, by proxy. Nobody hears it, the hub gives it up if it takes long.
mapfile -t asleep < <(node_pids l1)
kill -STOP "${asleep[@]}"
sleep "$(long 8 200)"
box_forget b1
kill -CONT "${asleep[@]}"
check "case 34: awake: reaches the gateway at once" wait_for 2.5 can_ping l1 "$G"
check "case 34: connected to the hub" wait_for 10 up
check "case 34: directly" wait_for 10 direct

# --- revoked ------------------------------------------------------------------------------------------

check "l2 reaches the gateway" wait_for 5 can_ping l2 "$G"
check "l2 is revoked" hub node revoke l2
gone() { sees_only gw l1; }
check "within 2 s it is in nobody's map" wait_for 2 gone
check_not "and reaches nobody" can_ping l2 "$G"
check_not "nor is it reached" can_ping gw "$L2"
check "box of a late laptop" box b3 port
check "laptop l3" node l3 b3
check "enrols" enroll l3
check "sees the gateway" wait_for 5 can_ping l3 "$G"
equal "and not the revoked one" gw "$(peers_of l3)"
mesh_finish
