#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two nodes configured by TOML: every kind of traffic, datagrams up to what an outer one carries,
# MTU and listen port changed live, wrong keys, destinations without a peer.
#
#   namespace a                                        namespace b
#   [v0 10.8.0.1, fd08::1]----------- veth ------------[v0 10.8.0.2, fd08::2]
#   [tt..a 10.77.0.1, fd77::1] ~~~~ tunnel ~~~~~~~ [tt..b 10.77.0.2, fd77::2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping python3 socat
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
ta=$(ifname a) tb=$(ifname b)
wg_keys a b x

conf_a=$TT_WORK/a.toml conf_b=$TT_WORK/b.toml
node_config "$conf_a" "$ta" a 10.77.0.1/24,fd77::1/64 51820
node_peer "$conf_a" b 10.77.0.2/32,fd77::2/128 'endpoint = "10.8.0.2:51820"'
node_config "$conf_b" "$tb" b 10.77.0.2/24,fd77::2/64 51820
node_peer "$conf_b" a 10.77.0.1/32,fd77::1/128 'endpoint = "10.8.0.1:51820"'

mtu_of() { in_ns "$1" ip -j link show "$2" | jq '.[0].mtu'; }

check "a starts" tt_start a "$conf_a"
check "b starts" tt_start b "$conf_b"
check "ping" wait_for 20 can_ping a 10.77.0.2
check "ping back" can_ping b 10.77.0.1
check "ping IPv6" can_ping a fd77::2
check "ping IPv6 back" can_ping b fd77::1
check "full-size packets that must not be fragmented" can_ping a 10.77.0.2 -M "do" -s 1392
check_not "one byte more is refused" can_ping a 10.77.0.2 -M "do" -s 1393
check "packets in fragments" can_ping a 10.77.0.2 -s 20000
check "TCP" tcp_copy a b 10.77.0.2
check "TCP back, IPv6" tcp_copy b a fd77::1
equal "MTU by default" 1420 "$(mtu_of a "$ta")"

# --- what the command line tells -------------------------------------------------------------------

equal "status --json: the peer is online" online "$(status a "$ta" '.peers[0].status')"
equal "status --json: interface" "$ta" "$(status a "$ta" .interface)"
less "status --json: bytes were counted" 5000000 "$(status a "$ta" '.peers[0].tx_bytes')"
check "peers --json is JSON" eval "in_ns a taltun peers '$ta' --json | jq -e . >/dev/null"
check "status for people" eval "in_ns a taltun status '$ta' | grep -q online"
check "top shows what goes on" eval "in_ns a timeout 10 taltun top '$ta' --once --interval 0.2 | grep -q '^workers busy'"
check "top --json has rates" eval "in_ns a timeout 10 taltun top '$ta' --once --json --interval 0.2 |
	jq -e '(.workers | all(.busy >= 0 and .busy <= 1)) and .rx_bits_per_s >= 0 and (.peers | length) == 1' >/dev/null"
check "no colours where it is no terminal" eval "! in_ns a taltun status '$ta' | grep -q \$'\\e'"
in_ns a taltun status nosuch0 >/dev/null 2>&1
equal "status of an interface that is not: exit status" 3 $?
equal "wg sees the same peer" "$(pub b)" "$(in_ns a wg show "$ta" peers)"

# --- no peer -----------------------------------------------------------------------------------------

unreachable() { in_ns a ping -n -c 1 -W 2 "$1" | grep -qi unreachable; }
check "no peer for the destination: ICMP unreachable" unreachable 10.77.0.99
check "the same for IPv6" unreachable fd77::99
less "and it is counted" 0 "$(drops a "$ta" tx_no_peer)"

# --- large datagrams -----------------------------------------------------------------------------------

cat >"$TT_WORK/udp.py" <<'PY'
"""serve ADDR: echoes one datagram after the other; ask ADDR SIZE: comes back whole?"""
import os, socket, sys
what, addr = sys.argv[1:3]
s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
for o in (socket.SO_RCVBUF, socket.SO_SNDBUF):
    s.setsockopt(socket.SOL_SOCKET, o, 1 << 20)
if what == "serve":
    s.bind((addr, 7777))
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(65535)
        s.sendto(data, peer)
s.settimeout(2)
data = os.urandom(int(sys.argv[3]))
for attempt in range(3):
    s.sendto(data, (addr, 7777))
    try:
        sys.exit(s.recv(65535) != data)
    except socket.timeout:
        pass
sys.exit(1)
PY
serve() {
	bg_ns b "$TT_WORK/serve.$1" python3 "$TT_WORK/udp.py" serve "$1"
	wait_for 20 grep -q ready "$TT_WORK/serve.$1"
}
ask() { in_ns a timeout 10 python3 "$TT_WORK/udp.py" ask "$@"; }
check "UDP server" serve 10.77.0.2
check "UDP server, IPv6" serve fd77::2
check "UDP 1 byte" ask 10.77.0.2 1
check "UDP 1392 bytes" ask 10.77.0.2 1392
check "UDP 60,000 bytes in fragments" ask 10.77.0.2 60000

# tunnel_mtu MTU; the interfaces below carry everything.
tunnel_mtu() {
	in_ns a ip link set "$ta" mtu "$1" && in_ns b ip link set "$tb" mtu "$1"
}
in_ns a ip link set v0 mtu 65535
in_ns b ip link set v0 mtu 65535
check "the MTU is raised live to 9000" tunnel_mtu 9000
check "it is used at once" wait_for 20 can_ping a 10.77.0.2 -M "do" -s 8972
check "TCP with 9000" tcp_copy a b 10.77.0.2
check "and to 65475" tunnel_mtu 65475
check "an inner packet of 65,475 bytes over outer IPv4" wait_for 20 can_ping a 10.77.0.2 -M "do" -s 65447
check "UDP of that size" ask 10.77.0.2 65447
check "the same, inner IPv6" ask fd77::2 65427
check "TCP with 65475" tcp_copy a b 10.77.0.2
equal "status knows the MTU" 65475 "$(status a "$ta" .mtu)"
in_ns a wg set "$ta" peer "$(pub b)" endpoint '[fd08::2]:51820'
in_ns b wg set "$tb" peer "$(pub a)" endpoint '[fd08::1]:51820'
check "over outer IPv6" wait_for 20 can_ping a 10.77.0.2
check "and to 65535" tunnel_mtu 65535
check "an inner packet of 65,495 bytes over outer IPv6" wait_for 20 can_ping a 10.77.0.2 -s 65467
check "UDP of that size" ask 10.77.0.2 65467
check "the same, inner IPv6" ask fd77::2 65447
check_not "a byte more does not fit" can_ping a 10.77.0.2 -s 65468
less "and is counted" 0 "$(drops a "$ta" tx_too_big)"
check "the nodes live" can_ping a 10.77.0.2
check "back to 1280" tunnel_mtu 1280
check "TCP with 1280" tcp_copy b a 10.77.0.1
in_ns a ip link set v0 mtu 1500
in_ns b ip link set v0 mtu 1500
in_ns a wg set "$ta" peer "$(pub b)" endpoint 10.8.0.2:51820
in_ns b wg set "$tb" peer "$(pub a)" endpoint 10.8.0.1:51820
check "TCP with outer 1500 again" tcp_copy a b 10.77.0.2

# --- listen port -----------------------------------------------------------------------------------------

check "b moves to another port" in_ns b wg set "$tb" listen-port 51999
equal "and says so" 51999 "$(in_ns b wg show "$tb" listen-port)"
check "both families are bound there" eval "[ \$(in_ns b ss -Hlun 'sport = :51999' | wc -l) -ge 2 ]"
equal "nothing is left on the old one" 0 "$(in_ns b ss -Hlun 'sport = :51820' | wc -l)"
check "b reaches a" wait_for 20 can_ping b 10.77.0.1
equal "a has followed" 10.8.0.2:51999 "$(in_ns a wg show "$ta" endpoints | cut -f2)"
check "a reaches b" can_ping a 10.77.0.2
in_ns b timeout 20 socat -u UDP4-LISTEN:52000 STDOUT >/dev/null 2>&1 &
tt_pids+=($!)
wait_for 20 eval "in_ns b ss -Hlun 'sport = :52000' | grep -q ."
check_not "a port in use is refused" in_ns b wg set "$tb" listen-port 52000
equal "and the old one stays" 51999 "$(in_ns b wg show "$tb" listen-port)"
check "with its traffic" can_ping a 10.77.0.2
check "any free port" in_ns b wg set "$tb" listen-port 0
check "is found" wait_for 20 can_ping b 10.77.0.1
check "TCP over it" tcp_copy a b 10.77.0.2

# --- offloads ------------------------------------------------------------------------------------

# shellcheck disable=SC2016 # a variable of jq
proved='.datapath | .offloads as $o | [.tun_tso == ($o.tun_tso == "proved"), .tun_uso == ($o.tun_uso == "proved"),
	.udp_gso == ($o.udp_gso == "proved"), .udp_gro == ($o.udp_gro == "proved")] | all'
equal "offloads that are on have been proved" true "$(status a "$ta" "$proved")"

# --- reload, then wrong keys -------------------------------------------------------------------------------

before=$(status a "$ta" '.peers[0].handshakes')
check "reload without a change" in_ns a taltun reload "$ta"
check "traffic goes on" can_ping a 10.77.0.2
equal "in the same session" "$before" "$(status a "$ta" '.peers[0].handshakes')"
tt_stop b "$tb"
tt_stop a "$ta"
check_not "a's interface is gone" in_ns a ip link show "$ta"

# a believes that b has x's key.
sed -i "s,$(pub b),$(pub x)," "$conf_a"
sed -i '/^endpoint/d' "$conf_b"
check "a starts with a wrong key for b" tt_start a "$conf_a"
check "b starts" tt_start b "$conf_b"
check_not "no session" can_ping a 10.77.0.2
helps() { in_ns a taltun status "$ta" | tr -s ' \n' ' ' | grep -q 'handshake never: no answer (look at .* both public keys)'; }
check "a's status says where to look" wait_for 20 helps
check "b counts the initiation for somebody else" wait_for 20 drops_above b "$tb" hs_bad_mac1 0
equal "a never saw a handshake" 0 "$(in_ns a wg show "$ta" latest-handshakes | cut -f2)"
equal "b shows a as never seen" never "$(status b "$tb" '.peers[0].status')"
tt_stop a "$ta"
tt_stop b "$tb"

# b does not know a.
sed -i "s,$(pub x),$(pub b)," "$conf_a"
sed -i "s,$(pub a),$(pub x)," "$conf_b"
check "a starts with the right key" tt_start a "$conf_a"
check "b starts without a" tt_start b "$conf_b"
check_not "no session" can_ping a 10.77.0.2
check "b counts the unknown peer" wait_for 20 drops_above b "$tb" hs_unknown_peer 0
finish
