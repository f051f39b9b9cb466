#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every pair of the NATs of support/nats.sh (topology and types: there): a gateway ga behind the one,
# a laptop lb behind the other, enrolled by token; what path they find, and how soon. Default: a
# share of the pairs that has each type and each outcome; TT_ALL=1: all 21.
#
# What is expected, the gateway's path and the laptop's. "direct" is to an address of the peer's own
# interface, "punched" to one that a NAT gave it.
#
# none none   direct     direct      nothing is in the way
# none full   punched    direct      who has a NAT opens it by its first check; the one without NAT
# none addr   punched    direct      answers where that came from, whatever mapping it was
# none port   punched    direct
# none sym    punched    direct
# full full   punched    punched     both mappings hold for every peer, so what STUN saw is right
# full addr   punched    punched
# full port   punched    punched
# addr addr   punched    punched
# addr port   punched    punched
# port port   punched    punched     each one's checks open its NAT for just the other's mapping
# full sym    punched    punched     STUN's answer is wrong for sym; but its check gets in at the
#                                    other side, and shows the right mapping
# addr sym    punched    punched     the same: addr has sent to sym's address, from which its check
#                                    comes, if by another udp_port
# port sym    relay_udp  relay_udp   that check comes from a udp_port which port has never sent to
# sym  sym    relay_udp  relay_udp   no mapping is what any other saw
# tcp  any    relay_tcp  relay_tcp   one end has no UDP, not even to the hub
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

NATS_DELAY_MS=${NATS_DELAY_MS:-10}
need_mesh

if [ -n "${TT_ALL:-}" ]; then
	pairs="none:none none:full none:addr none:port none:sym none:tcp full:full full:addr full:port
		full:sym full:tcp addr:addr addr:port addr:sym addr:tcp port:port port:sym port:tcp
		sym:sym sym:tcp tcp:tcp"
else
	pairs="none:none none:sym full:port addr:sym port:port port:sym sym:sym none:tcp"
fi

expected() {
	case $1:$2 in
	*tcp*) echo "relay_tcp relay_tcp" ;;
	sym:sym | port:sym | sym:port) echo "relay_udp relay_udp" ;;
	none:none) echo "direct direct" ;;
	none:*) echo "punched direct" ;;
	*:none) echo "direct punched" ;;
	*) echo "punched punched" ;;
	esac
}

# --- the nodes -----------------------------------------------------------------------------------

check "an internet, the hub $NATS_DELAY_MS ms away" nats_start
check "a hub" hub_start
# make NAME TYPE [TOKEN OPTION]...: a node behind such a NAT, enrolled, and down again
make() {
	local name=$1 type=$2 up=i
	shift 2
	if [ "$type" != none ]; then
		box "b$name" "$type" || return 1
		up=b$name
	fi
	node "$name" "$up" && enroll "$name" "$@" && node_down "$name"
}
for pair in $pairs; do
	for name in "g${pair%:*}" "l${pair#*:}"; do
		[ -z "${mesh_ip4[$name]:-}" ] || continue
		case $name in
		g*) check "gateway $name" make "$name" "${name#?}" --role gateway ;;
		*) check "laptop $name" make "$name" "${name#?}" ;;
		esac
	done
done
[ "$tt_failed" -eq 0 ] || mesh_finish

# --- pair by pair --------------------------------------------------------------------------------

rtt=$((4 * NATS_DELAY_MS)) # from node to node by the hub
# The first ping: one and a half round trips until it is there, half of one for the answer.
allowed=$((2 * rtt + 30))
settled() { path_is "$1" "$2" "$3" && path_is "$2" "$1" "$4"; }
answered() { grep -q 'time=' "$TT_WORK/pings.$1"; }
first_answer() { sed -n 's/^\[\([0-9.]*\)\].*time=.*/\1/p' "$TT_WORK/pings.$1" | head -n 1; }

# Both know it: the later of the two.
direct_time() {
	local want='.event == "path" and (.path == "direct" or .path == "punched")'
	printf '%s\n' "$(event_time "$1" "$want")" "$(event_time "$2" "$want")" | sort -n | tail -n 1
}

row() {
	printf '        %-5s %-5s  %-10s %-10s %9s %9s   %s\n' "$@"
}

pair_up() {
	node_up "$1" && wait_for 10 connected "$1" && events "$1" && node_up "$2" && events "$2"
}

try_pair() {
	local x=$1 y=$2 g=g$1 l=l$2 want_g want_l both first direct n
	read -r want_g want_l <<<"$(expected "$x" "$y")"
	for n in "$g" "$l"; do
		[ -z "${nats_type[b$n]:-}" ] || box_forget "b$n"
		in_ns "$n" rm /var/lib/taltun/tt0.map /var/lib/taltun/tt0.state
	done
	pair_up "$g" "$l" || { fail "$x $y: the nodes do not come up"; return; }
	pings "$l" "$(node_ip "$g")" "$TT_WORK/pings.$l" 12 -i 0.01
	n=$BG_PID
	wait_for 10 answered "$l" || fail "$x $y: no answer to a ping"
	if wait_for 8 settled "$g" "$l" "$want_g" "$want_l"; then
		pass "$x $y: $want_g, $want_l"
	else
		fail "$x $y: $want_g, $want_l; it is $(path "$g" "$l"), $(path "$l" "$g")"
	fi
	kill_pids 1 "$n"
	both=$(hub_up_time "$l")
	first=$(first_answer "$l")
	direct=$(direct_time "$g" "$l")
	row "$x" "$y" "$(path "$g" "$l")" "$(path "$l" "$g")" "$(ms "$both" "$first")" \
		"$(ms "$first" "$direct")" "$(of "$l" "$g" why_not_direct)" >>"$TT_WORK/table"
	answers "$x $y" "$(ms "$both" "$first")"
	case $want_g in relay_*) ;; *) soon "$x $y" "$(ms "$first" "$direct")" ;; esac
	node_down "$g"
	node_down "$l"
	rm -f "$TT_WORK/pings.$l" "$TT_WORK/events.$g" "$TT_WORK/events.$l"
}

# Promised are $allowed and a second; here other things want the processors. "-": never.
answers() { less "$1: the first answer, ms" "${2/#-/99999}" $((10 * allowed)); }
soon() {
	[ "$2" != - ] || set -- "$1" 99999
	less "$1: direct soon after the first answer, ms" "$2" 5000
}

for pair in $pairs; do
	try_pair "${pair%:*}" "${pair#*:}"
done
echo
row ga lb "ga's path" "lb's path" 'first ms' 'direct ms' 'why not direct'
cat "$TT_WORK/table"
echo "        first: from the laptop's connection to its first answer ($allowed is promised);"
echo "        direct: from then until both ends send directly (1000 is promised)"
mesh_finish
