#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every rule of a gateway's firewall: what is forwarded and what is not, spoofed sources, masquerade,
# the tunnel's own udp_port. The network is drawn in support/gateway.bash.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"
. "$(dirname "$0")/support/gateway.bash"

need_root
need_commands wg jq socat python3 ping nft
need_taltund
gateway_net

# A server at port 7777 that answers with the sender's address and port.
world_start() {
	local ns
	for ns in w h; do
		bg_ns "$ns" "$TT_WORK/$ns.txt" python3 -u -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", 7777))
print("ready")
while True:
    to = s.recvfrom(64)[1]
    s.sendto(("%s %d" % (to[0].replace("::ffff:", ""), to[1])).encode(), to)
'
		wait_for 20 grep -q ready "$TT_WORK/$ns.txt"
	done
}

# who FROM SOURCE PORT ADDRESS: as whom the other end sees a datagram.
who() {
	in_ns "$1" python3 -c '
import socket, sys
source, port, to = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, int(port)))
s.settimeout(1)
for i in range(8):
    s.sendto(b"who am I", (to, 7777))
    try:
        print(s.recv(64).decode())
        break
    except OSError:
        pass
' "$2" "$3" "$4"
}

# The world, having got a datagram from a spoke's inner port 51820, sends to the tunnel's udp_port:
# prints as which port it saw the spoke, and what the spoke then got. shadow PORT_OF_THE_WORLD SPOKE;
# what was translated once is translated so again, so each time another.
shadow() {
	local out=$TT_WORK/shadow.txt pid
	: >"$out"
	in_ns w timeout 8 python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("203.0.113.2", '"$1"'))
s.settimeout(4)
try:
    print("port", s.recvfrom(64)[1][1])
except OSError:
    print("port none")
for i in range(3):
    s.sendto(b"shadow", ("203.0.113.1", 51820))
' >>"$out" &
	pid=$!
	in_ns "s$2" timeout 8 python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.77.0.1'"$2"'", 51820))
s.settimeout(0.25)
got = None
for i in range(6):
    s.sendto(b"x", ("203.0.113.2", '"$1"'))
    try:
        got = s.recv(64).decode()
        break
    except OSError:
        pass
print("got", got)
' >>"$out"
	wait "$pid"
	sort "$out" | paste -sd' '
}

sees_spoofed() {
	local before
	before=$(dropped spoofed "$4")
	spoof_udp w "$1" "$2" 9 "$3"
	wait_for 20 at_least $((before + $3)) dropped spoofed "$4"
}

echo "nothing approved:"
gateway_config "ip_forward = true" "subnets = []"
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
check "spokes start" spokes_start
world_start
equal "it forwards" "1 1" "$(in_ns gw cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | paste -sd' ')"
before=$(dropped from_tunnel "not approved")
check_not "spoke 1 does not reach the LAN" can_ping s1 10.9.0.2
check "which is counted" more_dropped "$before" from_tunnel "not approved"
before=$(dropped to_tunnel "not approved")
check_not "the LAN does not reach spoke 1" can_ping h 10.77.0.11
check "which is counted" more_dropped "$before" to_tunnel "not approved"
check "the gateway reaches all" can_ping gw 10.77.0.11
check "and all reach it" can_ping h 10.9.0.1

echo "approved subnets:"
gateway_config "ip_forward = true" 'subnets = ["10.9.0.0/24", "fd09::/64"]'
check "reload" in_ns gw taltun reload "$g"
check "spoke 1 reaches the LAN" wait_for 20 can_ping s1 10.9.0.2
check "over IPv6" wait_for 20 can_ping s1 fd09::2
check "the LAN reaches spoke 1" can_ping h 10.77.0.11
check "over IPv6" can_ping h fd77::11
check "TCP to the LAN" stream s1 h 10.9.0.2 300000
before=$(dropped from_tunnel "not approved")
in_ns w ip route add 10.77.0.0/24 via 203.0.113.1
in_ns w ip -6 route add fd77::/64 via fdcb::1
check "spoke 1 does not reach the world, which knows the way back; nor it spoke 1" \
	reaches_none s1:203.0.113.2 s1:fdcb::2 w:10.77.0.11 w:fd77::11
check "which is counted" more_dropped "$before" from_tunnel "not approved"

echo "peer to peer:"
check_not "spoke 1 does not reach spoke 2" can_ping s1 10.77.0.12
# What no peer has goes to the kernel; one that sends it back into the tunnel is the second line.
in_ns gw ip route add 198.51.100.0/24 dev "$g"
before=$(dropped forward "peer to peer")
check_not "nor through the kernel" can_ping s1 198.51.100.1
check "which is counted" more_dropped "$before" forward "peer to peer"
in_ns gw ip route del 198.51.100.0/24 dev "$g"

echo "spoofed:"
in_ns w ip route add 10.9.0.0/24 via 203.0.113.1
check "as a spoke" sees_spoofed 10.77.0.11 10.9.0.2 5 "a source behind"
check "as the tunnel's own address" sees_spoofed 10.77.0.1 10.9.0.2 5 "nobody else"
in_ns w ip -6 route add fd09::/64 via fdcb::1
check "as a spoke, IPv6" sees_spoofed fd77::11 fd09::2 5 "a source behind"
check "as the tunnel's own address, IPv6" sees_spoofed fd77::1 fd09::2 5 "nobody else"
check "to the gateway itself" sees_spoofed 10.77.0.12 203.0.113.1 5 "a source behind"
check "as the wide prefix of spoke 2" sees_spoofed 10.8.77.1 10.9.0.2 5 "a source behind"
check "but not the links within that prefix, which the tunnel itself goes by" can_ping s2 10.77.0.1

echo "masquerade:"
in_ns w ip route del 10.77.0.0/24 via 203.0.113.1
gateway_config "ip_forward = true" 'masquerade = ["g4"]'
check "reload" in_ns gw taltun reload "$g"
check "spoke 1 reaches the world" wait_for 20 can_ping s1 203.0.113.2
equal "which sees the gateway" "203.0.113.1 4000" "$(who s1 10.77.0.11 4000 203.0.113.2)"
equal "over IPv6 too" "fdcb::1 4000" "$(who s1 fd77::11 4000 fdcb::2)"
in_ns w ip route add 10.77.0.0/24 via 203.0.113.1
check "without subnets, spoke 1 reaches neither the LAN nor spoke 2, and the world not spoke 1" \
	reaches_none s1:10.9.0.2 s1:10.77.0.12 w:10.77.0.11
gateway_config "ip_forward = true" 'masquerade = ["g4"]' 'subnets = ["10.9.0.0/24", "203.0.113.0/24"]'
check "reload" in_ns gw taltun reload "$g"
check "with subnets, both" wait_for 20 can_ping s1 10.9.0.2
check "and both" can_ping s1 203.0.113.2
equal "the LAN sees the spoke" "10.77.0.11 4000" "$(who s1 10.77.0.11 4000 10.9.0.2)"
equal "what the host itself sends is left alone" "203.0.113.1 4001" "$(who gw 203.0.113.1 4001 203.0.113.2)"

echo "case 37, port shadow:"
equal "ports stay" "203.0.113.1 1024" "$(who s1 10.77.0.11 1024 203.0.113.2)"
equal "below" "203.0.113.1 51819" "$(who s1 10.77.0.11 51819 203.0.113.2)"
equal "above" "203.0.113.1 51821" "$(who s1 10.77.0.11 51821 203.0.113.2)"
equal "a low one stays low" "203.0.113.1 500" "$(who s1 10.77.0.11 500 203.0.113.2)"
seen=$(shadow 8001 1)
check_not "a spoke does not get the tunnel's udp_port" test "${seen#*port }" = 51820
case $seen in
"got None port "[0-9]*) pass "nor what is sent to it ($seen)" ;;
*) fail "what is sent to the udp_port: $seen" ;;
esac
gateway_config "ip_forward = true" 'subnets = ["0.0.0.0/0"]'
check "reload" in_ns gw taltun reload "$g"
in_ns gw nft -f - <<-'NFT'
	table ip somebody {
		chain post {
			type nat hook postrouting priority srcnat;
			oifname "g4" masquerade
		}
	}
NFT
in_ns w ip route del 10.77.0.0/24 via 203.0.113.1
equal "others may translate addresses" "203.0.113.1 4002" "$(who s1 10.77.0.11 4002 203.0.113.2)"
before=$(dropped port_shadow "packets to the tunnel")
equal "but not to the udp_port" "got None port none" "$(shadow 8002 2)"
check "which is counted" more_dropped "$before" port_shadow "packets to the tunnel"
gateway_config "ip_forward = true" "firewall = false"
check "reload without the firewall" in_ns gw taltun reload "$g"
check "the table is gone" gone_table
equal "that is what would happen" "got shadow port 51820" "$(shadow 8003 2)"
in_ns gw nft delete table ip somebody

echo "isolation off:"
between=true
gateway_config "ip_forward = true" "subnets = []"
check "reload" in_ns gw taltun reload "$g"
check "spoke 1 reaches spoke 2" wait_for 20 can_ping s1 10.77.0.12
check "over IPv6" can_ping s1 fd77::12
check_not "but not the LAN" can_ping s1 10.9.0.2
between=false
gateway_config
check "reload without [gateway]" in_ns gw taltun reload "$g"
check_not "spoke 1 does not reach spoke 2 any more" can_ping s1 10.77.0.12
check "the table is gone" gone_table
equal "and forwarding is off" 0 "$(in_ns gw cat /proc/sys/net/ipv4/ip_forward)"
finish
