#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 18: the endpoint of a peer follows its newest authenticated packet, and nothing else.
#
#   namespace c (client)                          namespace s (server)
#   [v0 10.8.0.1, 10.8.0.11, 10.8.0.66]--- veth ---[v0 10.8.0.2]
#   [tt..c 10.77.0.1] ~~~~~~~ tunnel ~~~~~~~~~ [tt..s 10.77.0.2]
#
# 10.8.0.66 is the attacker's: it sends what it has captured, altered or made up.
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping python3 socat nft
ns_add c s
veth c v0 10.8.0.1/24,fd08::1/64 s v0 10.8.0.2/24,fd08::2/64
tc=$(ifname c) ts=$(ifname s)
wg_keys c s

node_config "$TT_WORK/c.toml" "$tc" c 10.77.0.1/24,fd77::1/64 51820
node_peer "$TT_WORK/c.toml" s 10.77.0.2/32,fd77::2/128 'endpoint = "10.8.0.2:51820"'
node_config "$TT_WORK/s.toml" "$ts" s 10.77.0.2/24,fd77::2/64 51820
node_peer "$TT_WORK/s.toml" c 10.77.0.1/32,fd77::1/128
check "server" tt_start s "$TT_WORK/s.toml"
# What AF_XDP carries cannot be captured: the client sends by its socket, and is listened to.
listener=s
if [ -n "$TT_MODE" ]; then
	listener=c
	TALTUN_DATAPATH_MODE=socket
fi
bg_ns s "$TT_WORK/events" taltun events "$ts" --json
check "client" tt_start c "$TT_WORK/c.toml"
check "ping" wait_for 20 can_ping c 10.77.0.2

endpoint() { in_ns s wg show "$ts" endpoints | cut -f2; }
endpoint_is() { [ "$(endpoint)" = "$1" ]; }
sessions() { status s "$ts" '.peers[0].handshakes'; }
equal "the server learned the client's address" 10.8.0.1:51820 "$(endpoint)"

echo "case 18: the client moves"

# --- the client moves ------------------------------------------------------------------------------

had=$(sessions)
addr_add c v0 10.8.0.11/24
in_ns c ip addr del 10.8.0.1/24 dev v0
addr_add c v0 10.8.0.11/24 2>/dev/null
check "traffic after the address changed" wait_for 20 can_ping c 10.77.0.2
equal "the server followed" 10.8.0.11:51820 "$(endpoint)"
check "from the server, too" can_ping s 10.77.0.1
check "another port" in_ns c wg set "$tc" listen-port 51900
check "traffic after the port changed" wait_for 20 can_ping c 10.77.0.2
equal "the server followed to the port" 10.8.0.11:51900 "$(endpoint)"
told() { jq -se "any(.[]; $1)" "$TT_WORK/events" >/dev/null 2>&1; }
check "the server's events tell that the client is up" wait_for 20 told '.event == "peer_up" and .peer == "c" and .why != ""'
check "and where it went, and from where" wait_for 20 told \
	'.event == "roam" and .endpoint == "10.8.0.11:51900" and .endpoint_was == "10.8.0.11:51820" and .why != ""'
# An answer that was under way when the client turned turns it back: it says so again then.
turn_to() {
	in_ns c wg set "$tc" peer "$(pub s)" endpoint "$1"
	can_ping c 10.77.0.2 && can_ping c 10.77.0.2 && endpoint_is "$2"
}
check "the server follows to IPv6" wait_for 30 turn_to '[fd08::2]:51820' '[fd08::1]:51900'
check "TCP over it" tcp_copy c s 10.77.0.2
check "and back" wait_for 30 turn_to 10.8.0.2:51820 10.8.0.11:51900
check "TCP over that" tcp_copy s c 10.77.0.1

# While a stream runs: not a byte is lost.
move_later() {
	sleep 0.3
	addr_add c v0 10.8.0.1/24
	in_ns c ip addr del 10.8.0.11/24 dev v0
	addr_add c v0 10.8.0.1/24
} 2>/dev/null
move_later &
check "60 MB while the address changes" tcp_copy c s 10.77.0.2 60000000
wait $!
check "ping" wait_for 20 can_ping c 10.77.0.2
equal "the server is where the client is" 10.8.0.1:51900 "$(endpoint)"
equal "all in one session" "$had" "$(sessions)"

echo "case 18: somebody else sends"

# --- the attacker ------------------------------------------------------------------------------------

addr_add c v0 10.8.0.66/24
cat >"$TT_WORK/attack.py" <<'PY'
"""capture FILE N: writes N datagrams from the client to the server (those after start, hex lines).
   send FILE HOW: sends them from the attacker's address: as they are, altered, or with other counters."""
import random, socket, struct, sys
what, name = sys.argv[1:3]
if what == "capture":
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind(("v0", 3))
    s.settimeout(10)
    print("ready", flush=True)
    out, want = [], int(sys.argv[3])
    while len(out) < want:
        p = s.recv(65535)
        if p[9] == 17 and p[12:16] == socket.inet_aton("10.8.0.1") and p[28] == 4:
            out.append(p[28:].hex())
    open(name, "w").write("\n".join(out))
    sys.exit()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.8.0.66", 51820))
for line in open(name):
    p = bytearray.fromhex(line.strip())
    if sys.argv[3] == "altered":
        p[random.randrange(16, len(p))] ^= 1
    elif sys.argv[3] == "newer":
        p[8:16] = struct.pack("<Q", struct.unpack("<Q", p[8:16])[0] + 1000)
    elif sys.argv[3] == "keepalive":
        p = p[:8] + struct.pack("<Q", 1 << 40) + bytes(16)
    elif sys.argv[3] == "cookie":
        p = b"\3\0\0\0" + p[4:8] + bytes(56)
    elif sys.argv[3] == "initiation":
        p = b"\1\0\0\0" + bytes(random.randrange(256) for i in range(144))
    s.sendto(bytes(p), ("10.8.0.2", 51820))
PY
attack() { in_ns c python3 "$TT_WORK/attack.py" send "$TT_WORK/captured" "$1"; }
bg_ns $listener "$TT_WORK/capture.out" python3 "$TT_WORK/attack.py" capture "$TT_WORK/captured" 10
wait_for 20 grep -q ready "$TT_WORK/capture.out"
check "packets of the client" in_ns c ping -n -q -c 10 -i 0.02 10.77.0.2
check "are captured" wait_for 20 test -s "$TT_WORK/captured"
for how in "data_replayed replayed" "data_bad_auth altered" "data_bad_auth newer" \
	"data_bad_auth keepalive" "cookie_unsolicited cookie" "hs_bad_mac1 initiation"; do
	read -r reason name <<<"$how"
	[ "$name" != cookie ] || reason=cookie_
	before=$(status s "$ts" "[.drops | to_entries[] | select(.key | startswith(\"$reason\")) | .value] | add // 0")
	attack "$name"
	counted() {
		[ "$(status s "$ts" "[.drops | to_entries[] | select(.key | startswith(\"$reason\")) | .value] | add // 0")" \
			-ge $((before + 10)) ] ||
			# an index that nothing waits for is as good a reason for a cookie reply
			{ [ "$name" = cookie ] && [ "$(drops s "$ts" hs_unknown_index)" -ge 10 ]; }
	}
	check "$name: dropped, and counted" wait_for 20 counted
	equal "$name: does not move the endpoint" 10.8.0.1:51900 "$(endpoint)"
done
check "the client did not notice" can_ping c 10.77.0.2

# --- a peer that may not move -----------------------------------------------------------------------

echo "case 18: a fixed endpoint"
heard() { status s "$ts" '.peers[0].rx_packets'; }
node_config "$TT_WORK/s.toml" "$ts" s 10.77.0.2/24,fd77::2/64 51820
cp "$TT_WORK/s.toml" "$TT_WORK/roams.toml"
node_peer "$TT_WORK/roams.toml" c 10.77.0.1/32,fd77::1/128
node_peer "$TT_WORK/s.toml" c 10.77.0.1/32,fd77::1/128 'endpoint = "10.8.0.1:51900"' 'roaming = false'
check "reload fixes it" in_ns s taltun reload "$ts"
check "traffic" wait_for 20 can_ping c 10.77.0.2
in_ns c wg set "$tc" listen-port 51901
had=$(heard)
check_not "a client that moves gets no answer" can_ping c 10.77.0.2
check "though it is heard" test "$(heard)" -gt "$had"
equal "the endpoint stays" 10.8.0.1:51900 "$(endpoint)"
cp "$TT_WORK/roams.toml" "$TT_WORK/s.toml"
check "reload lets it go" in_ns s taltun reload "$ts"
check "the server follows" wait_for 20 can_ping c 10.77.0.2
equal "to the new port" 10.8.0.1:51901 "$(endpoint)"
in_ns c wg set "$tc" listen-port 51900
check "and back" wait_for 20 can_ping c 10.77.0.2

# nftables does not see what AF_XDP takes, so that no original can be held back there.
[ -z "$TT_MODE" ] || finish

# One who relays a packet before the original arrives can move it; the next true one moves it back.
in_ns s nft add table ip tt_test
in_ns s nft add chain ip tt_test in '{ type filter hook input priority 0; }'
in_ns s nft add rule ip tt_test in ip saddr 10.8.0.1 udp dport 51820 drop
bg_ns s "$TT_WORK/capture.out2" python3 "$TT_WORK/attack.py" capture "$TT_WORK/captured" 1
wait_for 20 grep -q ready "$TT_WORK/capture.out2"
rm -f "$TT_WORK/captured"
can_ping c 10.77.0.2
wait_for 20 test -s "$TT_WORK/captured"
attack replayed
check "a packet relayed ahead of its original moves it" wait_for 20 endpoint_is 10.8.0.66:51820
in_ns s nft delete table ip tt_test
check "the client's next packets" wait_for 20 can_ping c 10.77.0.2
check "moves it back" wait_for 10 endpoint_is 10.8.0.1:51900
finish
