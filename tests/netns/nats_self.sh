#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The NATs of support/nats.sh are what their names say (topology and types: there), measured with
# tests/tools/nat_probe as RFC 5780 has it, and with `taltun stun`.
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"

need_root
need_commands nft conntrack jq ping socat python3 taltun
for tool in nat_probe stun_server wan; do
	[ -x "$TT_TOOLS/$tool" ] || skip_all "needs $TT_TOOLS/$tool (make tools)"
done
check "an internet" nats_start
check "its prober" probes_start
bg_ns h "$TT_WORK/stun_server.log" "$TT_TOOLS/stun_server" 3478
check "its STUN server" wait_for 20 grep -qx ready "$TT_WORK/stun_server.log"

# is WHAT NODE MAPPING FILTERING KEPT [HAIRPIN [UDP_PORT]]
is() {
	local got
	got=$(probe "$2" "${7:-41000}")
	equal "$1" "$3 $4 $5 ${6:-false}" \
		"$(jq -r '"\(.mapping) \(.filtering) \(.udp_port_kept) \(.hairpin)"' <<<"$got")"
}

independent=endpoint_independent by_address=address_dependent by_port=address_and_port_dependent

# --- each type by itself -------------------------------------------------------------------------

check "node without NAT" node pub
is "none" pub $independent $independent true true
for type in full addr port sym tcp; do
	check "box $type" box "b$type" $type
	check "node behind it" node "n$type" "b$type"
done
is "full" nfull $independent $independent true
is "addr" naddr $independent $by_address true
is "port" nport $independent $by_port true
is "sym" nsym $by_port $by_port false
is "tcp" ntcp blocked blocked false
for type in full addr port sym; do
	got=$(in_ns "n$type" timeout 15 taltun stun --json --port 40001 "$HUB")
	equal "$type: taltun stun sees the NAT" "true $(reflexive "n$type")" \
		"$(jq -r '"\(.nat) \(.reflexive | split(":")[0])"' <<<"$got")"
	kept=true
	[ $type != sym ] || kept=false
	equal "$type: the udp_port is kept" $kept "$(jq '.reflexive | endswith(":40001")' <<<"$got")"
done
equal "none: taltun stun sees none" false \
	"$(in_ns pub taltun stun --json "$HUB" | jq .nat)"
check "tcp: TCP passes" in_ns ntcp ping -c 1 -W 1 -q "$HUB"
bg_ns h "$TT_WORK/tcp.log" socat TCP4-LISTEN:443,reuseaddr,fork EXEC:cat
wait_for 20 listening h 443
equal "tcp: TCP passes" hello "$(echo hello | in_ns ntcp timeout 5 socat -t 2 - "TCP4:$HUB:443")"

# --- again: the second time is as the first, and what was forgotten is forgotten -------------------

is "full, asked again" nfull $independent $independent true
is "addr, asked again" naddr $independent $by_address true
mapped() { in_ns bport conntrack -L -p udp 2>/dev/null | grep -q 'dport=380'; }
check "a mapping stands" mapped
box_forget bport
check_not "and is forgotten" mapped
check "a port NAT becomes a symmetric one" box_type bport sym
is "which it is" nport $by_port $by_port false
check "and is one again" box_type bport port
is "which it is" nport $independent $by_port true

# --- two at once ------------------------------------------------------------------------------------

# Nodes send to each other's reflexive address at once, without more: who gets through to whom.
# punch A B: prints "AB" where both do, "A" where A hears B only. Neither begins before the other is there,
# and both go on until both have heard, for PUNCH_SECONDS at most: as long as it takes where they should,
# a while where they should not.
punch() {
	local n other pids=()
	rm -f "$TT_WORK"/punch.*
	for n in "$1" "$2"; do
		other=$1
		[ "$n" != "$1" ] || other=$2
		in_ns "$n" python3 - "$(reflexive "$other")" "$TT_WORK/punch.$n" "$TT_WORK/punch.$other" \
			"${PUNCH_SECONDS:-20}" <<'PY' &
import os, select, socket, sys, time
address, own, other, seconds = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 42000))
hub = ("203.0.113.2", 3801)
s.sendto(b"s", hub)                      # as STUN does, first of all
open(own + ".there", "w").close()
end = time.time() + 30
while not os.path.exists(other + ".there") and time.time() < end:
    time.sleep(0.02)
to, heard, end = {(address, 42000)}, False, time.time() + float(seconds)
while time.time() < end and not (heard and os.path.exists(other + ".heard")):
    for a in to:
        s.sendto(b"punch", a)
    while select.select([s], [], [], 0.1)[0]:
        data, a = s.recvfrom(64)
        if a != hub:
            to |= {a}                    # answered where it came from
            if not heard:
                open(own + ".heard", "w").close()
            heard = True
PY
		pids+=($!)
	done
	wait "${pids[@]}"
	for n in "$1" "$2"; do
		! [ -e "$TT_WORK/punch.$n.heard" ] || printf '%s ' "$n"
	done
}

check "a second box port" box bport2 port
check "node behind it" node nport2 bport2
check "a second box sym" box bsym2 sym
check "node behind it" node nsym2 bsym2
equal "port and port punch" "nport nport2 " "$(punch nport nport2)"
equal "full and sym punch" "nfull nsym " "$(punch nfull nsym)"
equal "addr and sym punch" "naddr nsym " "$(punch naddr nsym)"
equal "port and sym do not" "" "$(PUNCH_SECONDS=2 punch nport nsym)"
equal "sym and sym do not" "" "$(PUNCH_SECONDS=2 punch nsym nsym2)"
equal "none and sym do" "nsym pub " "$(punch nsym pub)"
check "a box that answers for itself" box bopen port open
check "node behind it" node nopen bopen
# second NODE: the udp_port from which its packet to `pub` comes, after one that was not expected has
# gone the other way.
second() {
	in_ns pub python3 - "$(reflexive "$1")" >"$TT_WORK/second.$1" <<'PY' &
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(15)
s.bind(("", 43003))
s.sendto(b"first", (sys.argv[1], 44000))
print("sent", flush=True)
print(s.recvfrom(64)[1][1])
PY
	local pid=$!
	wait_for 20 grep -q sent "$TT_WORK/second.$1"
	in_ns "$1" python3 - "$(reflexive pub)" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 44000))
s.sendto(b"second", (sys.argv[1], 43003))
PY
	wait "$pid"
	tail -n 1 "$TT_WORK/second.$1"
}
equal "what came first does not take a udp_port" 44000 "$(second nport2)"
check_not "but it does at a box that answers for itself" test "$(second nopen)" = 44000

# --- one behind another, two behind one -----------------------------------------------------------

check "a carrier's box" box carrier port i
check "a home's box behind it" box home port carrier
check "node behind both" node inner home
equal "its outermost address" "${nats_addr[carrier]}" "$(reflexive inner)"
is "two of type port are one" inner $independent $by_port true
check "a symmetric home" box_type home sym
is "sym behind port is sym" inner $by_port $by_port false

check "a box with two hosts" box two port i apart
check "one" node n1 two
check "the other" node n2 two
is "one" n1 $independent $by_port true
is "the other, by other udp_ports" n2 $independent $by_port true false 41010
is "by the same ones it gets others" n2 $independent $by_port false
check_not "they do not see each other" can_ping n1 "${nats_addr[n2]}"
equal "nor by their outside address" "" "$(PUNCH_SECONDS=2 punch n1 n2)"
check "a full one that turns round" box turn full i apart hairpin
check "one" node n3 turn
check "the other" node n4 turn
is "one" n3 $independent $independent true true
check "a box whose hosts see each other" box lan port
check "one" node n5 lan
check "the other" node n6 lan
check "they do" can_ping n5 "${nats_addr[n6]}"

# --- the rest ---------------------------------------------------------------------------------------

check "a box with IPv6" box six port i v6
check "node behind it" node nsix six
check "reaches the hub by IPv6" can_ping nsix $HUB6
equal "without NAT" false "$(in_ns nsix taltun stun --json "[$HUB6]" | jq .nat)"
check_not "and is not reached unasked" can_ping h "2001:db8:${nats_index[six]}:1::2"
check "a slow link" node slow i e0 delay=25
less "has its round trip" 49 "$(in_ns slow ping -c 3 -i 0.1 $HUB | sed -n 's/.*min.*= \([0-9.]*\).*/\1/p')"
check "may be cut" link_set slow blackhole on
check_not "nothing passes" can_ping slow $HUB
check "and mended" link_set slow blackhole off
check "it does again" can_ping slow $HUB
check "UDP is dropped" box_drop bport udp
is "nothing passes" nport blocked blocked false
box_pass bport
is "until it is not" nport $independent $by_port true
check "a second uplink" node nport bport2 e1
check "is not the first choice" in_ns nport ping -c 1 -W 1 -q -I e0 $HUB
check "but works" in_ns nport ping -c 1 -W 1 -q -I e1 $HUB
finish
