#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A client behind a NAT that forgets UDP mappings after seconds and gives every new one another port.
#
#   namespace c                  router r, symmetric NAT           namespace s
#   [v0 192.168.9.2]----[192.168.9.1 v0 | v1 10.8.0.1]----[10.8.0.2 v0]
#   [tt..c 10.77.0.1] ~~~~~~~~~~~~~~ tunnel ~~~~~~~~~~~~~~ [tt..s 10.77.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping socat nft
ns_add c r s
veth c v0 192.168.9.2/24 r v0 192.168.9.1/24
veth r v1 10.8.0.1/24 s v0 10.8.0.2/24
in_ns c ip route add default via 192.168.9.1
masquerade r v1 fully-random
udp_timeout r 3
tc=$(ifname c) ts=$(ifname s)
wg_keys c s

endpoint() { in_ns s wg show "$ts" endpoints | cut -f2; }
sessions() { status s "$ts" '.peers[0].handshakes'; }
forget() { in_ns r conntrack -F; }

node_config "$TT_WORK/s.toml" "$ts" s 10.77.0.2/24 51820
node_peer "$TT_WORK/s.toml" c 10.77.0.1/32
client() {
	node_config "$TT_WORK/c.toml" "$tc" c 10.77.0.1/24 51820
	node_peer "$TT_WORK/c.toml" s 10.77.0.2/32 'endpoint = "10.8.0.2:51820"' "keepalive = $1"
}

# --- with keepalive ----------------------------------------------------------------------------------

client 1
check "server" tt_start s "$TT_WORK/s.toml"
check "client with keepalive" tt_start c "$TT_WORK/c.toml"
check "the keepalive alone makes the session" wait_for 20 can_ping s 10.77.0.1
first=$(endpoint)
check_not "the server sees the NAT's port" test "$first" = 10.8.0.1:51820
check "TCP out" tcp_copy c s 10.77.0.2
check "TCP in" tcp_copy s c 10.77.0.1
had=$(sessions)
sleep 7 # two lifetimes of a mapping, in which only keepalives pass
equal "the mapping was kept" "$first" "$(endpoint)"
check "the server reaches the client after silence" can_ping s 10.77.0.1

if command -v conntrack >/dev/null; then
	check "the NAT loses its state" forget
	check "the next keepalive opens the way again" wait_for 20 can_ping s 10.77.0.1
	check_not "on another port" test "$(endpoint)" = "$first"
	rebind_later() { sleep 0.3; forget; } >/dev/null 2>&1
	rebind_later &
	check "60 MB while the NAT loses its state" tcp_copy c s 10.77.0.2 60000000
	wait $!
	equal "all in one session" "$had" "$(sessions)"
else
	skip "NAT loses its state: conntrack(8) is not installed"
fi
tt_stop c "$tc"

# --- without keepalive ---------------------------------------------------------------------------------

client 0
check "client without keepalive" tt_start c "$TT_WORK/c.toml"
check "ping" wait_for 20 can_ping c 10.77.0.2
first=$(endpoint)
# 10 s after it received something the client may answer with a keepalive; then silence.
silent() { ! can_ping s 10.77.0.1; }
sleep 4
wait_for 30 silent || echo "        the mapping never expired"
had=$(sessions)
check "the client's next packet recovers" wait_for 20 can_ping c 10.77.0.2
check_not "on another port" test "$(endpoint)" = "$first"
check "and the server reaches the client" can_ping s 10.77.0.1
check "TCP in" tcp_copy s c 10.77.0.1
finish
