# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Nodes behind NATs around a small internet; sourced after lib.sh.
#
#                     h   the hub, 203.0.113.2 and .3 (2001:db8::2), e0
#                     |
#                     |   $NATS_DELAY_MS each way, by the WAN emulator where that is not 0
#       +-------------+-------------+
#       |  i   the internet: routes public addresses, silently drops the private ones
#       +--+-----------+---------+--+
#          |           |         |
#          |           |        e0    n   203.0.113.(8K+2), public
#         out         out
#       box a1       box c1           203.0.113.(8K+2) outside; (2001:db8:K::2/64)
#        |  |          |
#       in1 in2       in1             192.168.K.(4J+1)/30 inside; (2001:db8:K:J::1/64)
#        |  |          |
#        e0 e0        out
#        a  b        box d1           a and b share a NAT; d is behind two
#                      |
#                     in1
#                      |
#                      e0
#                      d
#
#   nats_start                          makes i and h
#   box NAME TYPE [UPSTREAM] [OPTION]...     UPSTREAM: i (default), or another box
#   node NAME [UPSTREAM] [DEV]          UPSTREAM: i (public) or a box; DEV: e0. A second DEV is a
#                                       second uplink, with the worse route
#   reflexive NAME                      the outermost address of a box or node
#   box_type BOX TYPE                   another NAT in its place: all state is gone
#   box_forget BOX                      loses its mappings
#   box_drop BOX udp|udp_in|icmp|with ADDRESS  beside its NAT; box_pass BOX takes it all back
#   link_set NAME OPTION VALUE          wan option of a link that was made with delay=, mtu= or wan
#   probe NODE                          JSON: what the NAT does, by tests/tools/nat_probe
#
# Options: v6 (a stateful IPv6 firewall beside the NAT), hairpin (full only), apart (its hosts do
# not see each other), open (no filter for what is addressed to the box itself: see below), lan=K
# (for 192.168.K.0: the same one behind two boxes is nothing unusual); of the link upstream:
# delay=MS (one way), mtu=BYTES, no_icmp, wan (so that it may be changed).
#
# TYPE      maps (RFC 4787)              lets in                     made of
# none      no NAT: a router             everything
# full      endpoint-independent         endpoint-independent        masquerade; DNAT for each outside
#                                                                    udp_port in use
# addr      endpoint-independent         address-dependent           masquerade; DNAT for each pair of
#                                                                    outside udp_port and address that
#                                                                    was sent to
# port      endpoint-independent as long address-and-port-dependent  masquerade alone
#           as no two hosts use one
#           udp_port
# sym       address-and-port-dependent   address-and-port-dependent  masquerade fully-random
# tcp       no UDP at all                                            masquerade; UDP is dropped both
#                                                                    ways, silently
#
# Linux keeps the udp_port of a mapping while it is free for the destination. It is not free where
# something unexpected came from that destination to that udp_port before and was not dropped: the
# packet is a connection to the box itself then, and the next mapping has another udp_port. A box
# drops such packets as home routers do; option `open` leaves that out, and so makes a NAT of type
# port whose mapping is address-dependent just where two nodes try to punch at once.

HUB=203.0.113.2
HUB2=203.0.113.3
HUB6=2001:db8::2

declare -A nats_up=()   # box or node -> upstream
declare -A nats_addr=() # box or node -> its address upstream
declare -A nats_type=()
declare -A nats_options=()
declare -A nats_index=() # box -> K
declare -A nats_hosts=() # box -> how many hosts so far
nats_sites=0             # how many links i has

# A node writes its configuration below /etc/taltun.
TT_PRIVATE_DIRS="$TT_PRIVATE_DIRS /etc/taltun"

nats_start() {
	ns_add i h
	router i
	in_ns i ip route add blackhole 10.0.0.0/8
	in_ns i ip route add blackhole 172.16.0.0/12
	in_ns i ip route add blackhole 192.168.0.0/16
	in_ns i ip route add blackhole 100.64.0.0/10
	nats_link i l0 203.0.113.1/29,2001:db8::1/64 h e0 $HUB/29,$HUB6/64 \
		"delay=${NATS_DELAY_MS:-0}" || return 1
	in_ns h ip addr add $HUB2/29 dev e0
	in_ns h ip route add default via 203.0.113.1
	in_ns h ip -6 route add default via 2001:db8::1
}

# nats_link A IF_A ADDR_A B IF_B ADDR_B [OPTION]...: veth, or the WAN emulator where it has to delay,
# to refuse or to change.
nats_link() {
	local a=$1 if_a=$2 addr_a=$3 b=$4 if_b=$5 addr_b=$6 o wan=()
	shift 6
	for o in "$@"; do
		case $o in
		delay=0) ;;
		delay=*) wan+=(--delay-ms "${o#*=}") ;;
		mtu=*) wan+=(--mtu "${o#*=}") ;;
		no_icmp) wan+=(--drop-icmp) ;;
		wan) wan+=(--delay-ms 0) ;;
		esac
	done
	if [ ${#wan[@]} -eq 0 ]; then
		veth "$a" "$if_a" "$addr_a" "$b" "$if_b" "$addr_b"
		return
	fi
	"$TT_TOOLS/wan" --left "$(ns_name "$a"):$if_a:$addr_a" \
		--right "$(ns_name "$b"):$if_b:$addr_b" "${wan[@]}" \
		--control "$TT_WORK/wan-$b-$if_b.sock" </dev/null >"$TT_WORK/wan-$b-$if_b.log" 2>&1 &
	tt_pids+=("$!")
	wait_for 5 grep -qx ready "$TT_WORK/wan-$b-$if_b.log"
}

# link_set NAME OPTION VALUE [DEV]
link_set() {
	local dev=${4:-e0}
	[ -z "${nats_type[$1]:-}" ] || dev=out
	[ "$(echo "set $2 $3" | socat -t 2 - "UNIX-CONNECT:$TT_WORK/wan-$1-$dev.sock")" = ok ]
}

# nats_join NAME DEV METRIC UPSTREAM [OPTION]...: the link upstream, with addresses and routes.
nats_join() {
	local name=$1 dev=$2 metric=$3 up=$4 k j v6_up='' v6=''
	shift 4
	case " $* " in *' v6 '*) v6=yes ;; esac
	if [ "$up" = i ]; then
		k=$((++nats_sites))
		[ -z "$v6" ] || v6_up=,2001:db8:$k::1/64 v6=,2001:db8:$k::2/64
		nats_link i "l$k" "203.0.113.$((8 * k + 1))/29$v6_up" "$name" "$dev" \
			"203.0.113.$((8 * k + 2))/29$v6" "$@" || return 1
		in_ns "$name" ip route add default via "203.0.113.$((8 * k + 1))" metric "$metric"
		[ -z "$v6" ] || in_ns "$name" ip -6 route add default via "2001:db8:$k::1" metric "$metric"
		[ -z "$v6" ] || in_ns i ip -6 route add "2001:db8:$k::/48" via "2001:db8:$k::2"
		nats_addr[$name]=203.0.113.$((8 * k + 2))
		nats_index[$name]=$k
	else
		k=${nats_index[$up]} j=$((${nats_hosts[$up]:-0} + 1))
		case " ${nats_options[$up]} " in *' lan='*) k=${nats_options[$up]#*lan=} k=${k%% *} ;; esac
		nats_hosts[$up]=$j
		case " ${nats_options[$up]} " in
		*' v6 '*) v6_up=,2001:db8:$k:$j::1/64 v6=,2001:db8:$k:$j::2/64 ;;
		*) v6='' ;;
		esac
		nats_link "$up" "in$j" "192.168.$k.$((4 * j + 1))/30$v6_up" "$name" "$dev" \
			"192.168.$k.$((4 * j + 2))/30$v6" "$@" || return 1
		in_ns "$name" ip route add default via "192.168.$k.$((4 * j + 1))" metric "$metric"
		[ -z "$v6" ] ||
			in_ns "$name" ip -6 route add default via "2001:db8:$k:$j::1" metric "$metric"
		nats_addr[$name]=192.168.$k.$((4 * j + 2))
		nats_index[$name]=$((k + 100))
	fi
	nats_up[$name]=$up
}

box() {
	local name=$1 type=$2 up=i
	shift 2
	if [ $# -gt 0 ] && { [ -n "${nats_type[$1]:-}" ] || [ "$1" = i ]; }; then
		up=$1
		shift
	fi
	ns_add "$name"
	router "$name"
	nats_options[$name]="$*"
	nats_join "$name" out 100 "$up" "$@" && box_type "$name" "$type"
}

# The rules in one transaction. What a home router has beside its NAT is always there: what comes
# from outside and was not asked for ends at it.
box_type() {
	local name=$1 type=$2 options=" ${nats_options[$1]} " pre='' learn='' filter='' flags='' hairpin=''
	local no_udp=''
	local to="${nats_addr[$1]}" input='iifname "out" ct state new drop'
	nats_type[$name]=$type
	case $options in *' open '*) input='' ;; esac
	case $options in *' apart '*) filter='iifname "in*" oifname "in*" drop' ;; esac
	case $options in
	*' hairpin '*) hairpin="iifname \"in*\" oifname \"in*\" ct status dnat snat ip to $to" ;;
	esac
	case $type in
	full)
		learn='update @used { udp sport : ct original ip saddr }'
		pre="ip daddr $to dnat ip to udp dport map @used"
		;;
	addr)
		learn='update @contacted { ip daddr . udp sport : ct original ip saddr }'
		pre='iifname "out" dnat ip to ip saddr . udp dport map @contacted'
		;;
	sym) flags=fully-random ;;
	tcp) no_udp='meta l4proto udp drop' ;;
	port | none) ;;
	*)
		echo "no NAT of type $type" >&2
		return 1
		;;
	esac
	in_ns "$name" nft -f - <<-NFT || return 1
		table inet tt_nat
		delete table inet tt_nat
		table inet tt_nat {
			map used {
				type inet_service : ipv4_addr
				flags dynamic,timeout
				size 4096
				timeout 5m
			}
			map contacted {
				type ipv4_addr . inet_service : ipv4_addr
				flags dynamic,timeout
				size 4096
				timeout 5m
			}
			chain input {
				type filter hook input priority filter
				$input
			}
			chain forward {
				type filter hook forward priority filter
				$no_udp
				ct status dnat accept
				$filter
				$([ "$type" = none ] || echo 'iifname "out" ct state new drop')
			}
			chain learn {
				type filter hook postrouting priority srcnat + 10
				oifname "out" meta nfproto ipv4 meta l4proto udp ct direction original $learn
			}
			chain pre {
				type nat hook prerouting priority dstnat
				$pre
			}
			chain post {
				type nat hook postrouting priority srcnat
				$hairpin
				$([ "$type" = none ] || echo "oifname \"out\" meta nfproto ipv4 masquerade $flags")
			}
		}
		table inet tt_drop {
			chain forward {
				type filter hook forward priority filter - 10
			}
		}
	NFT
	box_forget "$name"
}

# As a NAT that was started anew: mappings and what it had learnt to let in.
box_forget() {
	in_ns "$1" conntrack -F >/dev/null 2>&1
	in_ns "$1" nft flush map inet tt_nat used
	in_ns "$1" nft flush map inet tt_nat contacted
}

box_drop() {
	local name=$1
	shift
	case $1 in
	udp) set -- meta l4proto udp drop ;;
	udp_in) set -- iifname out meta l4proto udp drop ;;
	with) set -- ip saddr "$2" drop ';' add rule inet tt_drop forward ip daddr "$2" drop ;;
	icmp) set -- meta l4proto '{ icmp, icmpv6 }' drop ;;
	esac
	in_ns "$name" nft add rule inet tt_drop forward "$@"
}

box_pass() {
	in_ns "$1" nft flush chain inet tt_drop forward
}

node() {
	local name=$1 up=${2:-i} dev=${3:-e0} metric=100
	if [ "$dev" = e0 ]; then
		ns_add "$name"
	else
		metric=200
	fi
	shift $(($# < 3 ? $# : 3))
	nats_join "$name" "$dev" "$metric" "$up" "$@"
}

reflexive() {
	local at=$1
	while [ "${nats_up[$at]}" != i ]; do
		at=${nats_up[$at]}
	done
	echo "${nats_addr[$at]}"
}

# probes_start: the server that probe asks, in the hub's namespace.
probes_start() {
	bg_ns h "$TT_WORK/nat_probe.log" "$TT_TOOLS/nat_probe" serve $HUB $HUB2 3801 3802
	wait_for 5 grep -qx ready "$TT_WORK/nat_probe.log"
}

probe() {
	in_ns "$1" timeout 20 "$TT_TOOLS/nat_probe" ask $HUB $HUB2 3801 3802 "${2:-41000}"
}
