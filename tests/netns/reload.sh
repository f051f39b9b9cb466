#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A gateway takes a changed file while traffic runs: whom the change does not name, it does not
# touch.
#
#   a [10.77.0.11]~~~~.            .~~~~[10.77.0.12] b      c [10.77.0.13], not known at first
#     [v0 10.8.0.11]--.            .--[v0 10.8.0.12]          [v0 10.8.0.13]--.
#                     [br0 10.8.0.1] gw [tun 10.77.0.1] ----------------------'
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat ping iperf3
need_taltund
ns_add gw a b c
in_ns gw ip link add br0 type bridge
addr_add gw br0 10.8.0.1/24,fd08::1/64
in_ns gw ip link set br0 up
n=10
for spoke in a b c; do
	n=$((n + 1))
	veth gw "p$n" "" "$spoke" v0 "10.8.0.$n/24,fd08::$n/64"
	in_ns gw ip link set "p$n" master br0
done
g=$(ifname g)
wg_keys gw a b c

head_of_file() {
	toml "$TT_WORK/gw.toml" "$g" gw 10.77.0.1/24 "${@:-listen_port = 51820}"
}

spoke_start() {
	toml "$TT_WORK/$1.toml" "$(ifname "$1")" "$1" "10.77.0.$2/24"
	toml_datapath "$TT_WORK/$1.toml" "workers = 1"
	toml_peer "$TT_WORK/$1.toml" gw 10.77.0.0/24,192.0.2.0/24 'endpoint = "10.8.0.1:51820"' "keepalive = 1"
	tt_start "$1" "$TT_WORK/$1.toml"
}

# reload_says PATTERN STATUS
reload_says() {
	local out rc
	out=$(in_ns gw taltun reload "$g" 2>&1)
	rc=$?
	echo "status $rc, wanted $2: $out"
	[ "$rc" -eq "$2" ] && grep -Eq "$1" <<<"$out"
}

hup() {
	local before after
	before=$(grep -c "$1" "$(tt_log gw "$g")")
	kill -HUP "$(tt_pid gw "$g")"
	after=$((before + 1))
	wait_for 20 at_least "$after" grep -c "$1" "$(tt_log gw "$g")"
}

has_peer() {
	in_ns gw wg show "$g" peers | grep -qF "$(pub "$1")"
}

mtu_of() {
	in_ns gw cat "/sys/class/net/$g/mtu"
}

# What must outlive everything below: a sends 500 packets a second, b streams.
traffic_start() {
	bg_ns a "$TT_WORK/ping.txt" ping -n -i 0.002 -W 2 10.77.0.1
	pinger=$BG_PID
	bg_ns gw "$TT_WORK/iperf-server.txt" iperf3 -s -1
	wait_for 20 listening gw 5201
	bg_ns b "$TT_WORK/iperf.json" iperf3 -J -c 10.77.0.1 -b 50M -t 60
	streamer=$BG_PID
	wait_for 20 stream_runs
}

stream_runs() {
	in_ns b ss -Hnt state established 'dport = :5201' | grep -q .
}

head_of_file
toml_peer "$TT_WORK/gw.toml" a 10.77.0.11/32
toml_peer "$TT_WORK/gw.toml" b 10.77.0.12/32
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
check "a starts" spoke_start a 11
check "b starts" spoke_start b 12
check "c starts" spoke_start c 13
check "a reaches the gateway" wait_for 20 can_ping a 10.77.0.1
check "b does" wait_for 20 can_ping b 10.77.0.1
check_not "c does not" can_ping c 10.77.0.1
traffic_start
shakes_a=$(handshakes gw "$g" a) shakes_b=$(handshakes gw "$g" b)

echo "under load:"
check "the same file again" reload_says . 0
toml_peer "$TT_WORK/gw.toml" c 10.77.0.13/32
check "a peer is added" reload_says . 0
check "and there" has_peer c
check "it gets through" wait_for 12 can_ping c 10.77.0.1
head_of_file
toml_peer "$TT_WORK/gw.toml" b 10.77.0.12/32
toml_peer "$TT_WORK/gw.toml" c 10.77.0.13/32,10.77.5.0/24 "keepalive = 7"
toml_peer "$TT_WORK/gw.toml" a 10.77.0.11/32
check "order, keepalive and allowed IPs change, by SIGHUP" hup event=config.reloaded
equal "the new keepalive" 7 "$(peer_field gw "$g" c keepalive)"
equal "the new allowed IP" 10.77.5.0/24 "$(peer_field gw "$g" c 'allowed_ips | join(" ")' | tr ' ' '\n' | grep 10.77.5)"
check "has its route" in_ns gw sh -c "ip route show 10.77.5.0/24 | grep -q $g"
head_of_file
toml_peer "$TT_WORK/gw.toml" a 10.77.0.11/32
toml_peer "$TT_WORK/gw.toml" b 10.77.0.12/32
check "a peer is removed" reload_says . 0
check_not "and gone" has_peer c
check_not "it no longer gets through" can_ping c 10.77.0.1
check_not "its route went too" in_ns gw sh -c "ip route show 10.77.5.0/24 | grep -q ."
for i in 1 2 3 4 5 6 7 8 9 10; do
	head_of_file
	toml_peer "$TT_WORK/gw.toml" a 10.77.0.11/32
	[ $((i % 2)) = 0 ] || toml_peer "$TT_WORK/gw.toml" c 10.77.0.13/32
	toml_peer "$TT_WORK/gw.toml" b 10.77.0.12/32
	in_ns gw taltun reload "$g" >/dev/null || fail "reload $i"
done
pass "ten more reloads"

echo "case 38: a file that is wrong:"
cp "$TT_WORK/gw.toml" "$TT_WORK/good.toml"
echo "keepalives = 3" >>"$TT_WORK/gw.toml"
line=$(wc -l <"$TT_WORK/gw.toml")
check "reload names file, line and column" reload_says "gw.toml:$line:[0-9]+: .*keepalives" 78
in_ns gw wg showconf "$g" >"$TT_WORK/before"
check "SIGHUP logs them" hup "event=config.reload_failed.*gw.toml:$line:"
check "the peers stay" has_peer b
check "and all that was configured" diff "$TT_WORK/before" <(in_ns gw wg showconf "$g")
printf '[interface\n' >"$TT_WORK/gw.toml"
check "a syntax error" reload_says 'gw.toml:[12]:[0-9]+: ' 78
: >"$TT_WORK/gw.toml"
check "an empty file" reload_says 'gw.toml' 78
rm "$TT_WORK/gw.toml"
check "no file" reload_says 'gw.toml.*No such file' 78
cp "$TT_WORK/good.toml" "$TT_WORK/gw.toml"

echo "what cannot change:"
for setting in 'workers = 3' 'poll = "busy"' 'aead = "libsodium"'; do
	cp "$TT_WORK/good.toml" "$TT_WORK/gw.toml"
	toml_datapath "$TT_WORK/gw.toml" "$setting"
	check "${setting%% *} is named" reload_says "datapath.${setting%% *} cannot change" 1
done
sed "s/^name = \"$g\"/name = \"other0\"/" "$TT_WORK/good.toml" >"$TT_WORK/gw.toml"
check "name is named" reload_says "interface.name .*cannot change" 1
cp "$TT_WORK/good.toml" "$TT_WORK/gw.toml"
check "the good file again" reload_says . 0

echo "through all of it:"
answers=$(grep -c icmp_seq "$TT_WORK/ping.txt")
check "a has answers still" wait_for 20 at_least $((answers + 1)) grep -c icmp_seq "$TT_WORK/ping.txt"
kill -INT "$pinger"
wait "$pinger" 2>/dev/null
equal "a lost no packet" 0 "$(ping_lost "$TT_WORK/ping.txt")"
check "b's stream still runs" stream_runs
equal "a has its session" "$shakes_a" "$(handshakes gw "$g" a)"
equal "b has its session" "$shakes_b" "$(handshakes gw "$g" b)"

echo "the interface itself:"
peers_of_file() {
	toml_peer "$TT_WORK/gw.toml" a 10.77.0.11/32
	toml_peer "$TT_WORK/gw.toml" b 10.77.0.12/32
}
head_of_file "listen_port = 51820" "mtu = 1300"
peers_of_file
check "mtu changes" reload_says . 0
mtu_is() { [ "$(mtu_of)" = "$1" ]; }
check "on the interface" wait_for 20 mtu_is 1300
head_of_file "listen_port = 51999" "mtu = 1300" 'routes = ["198.51.100.0/24"]'
peers_of_file
check "listen_port and routes change" reload_says . 0
equal "the daemon says so" 51999 "$(status gw "$g" .listen_port)"
check "the socket is there" in_ns gw sh -c "ss -Hlnu 'sport = :51999' | grep -q ."
check_not "the old one is not" in_ns gw sh -c "ss -Hlnu 'sport = :51820' | grep -q ."
check "the route is there" wait_for 20 in_ns gw sh -c "ip route show 198.51.100.0/24 | grep -q $g"
check "peers find the new port" wait_for 20 can_ping gw 10.77.0.11
check "and answer from there" wait_for 20 can_ping a 10.77.0.1
check "b's stream still runs" stream_runs
equal "a needed no handshake" "$shakes_a" "$(handshakes gw "$g" a)"
# A port that is taken: the old one stays.
bg_ns gw "$TT_WORK/taken.txt" socat -u UDP4-RECV:51888 -
wait_for 20 in_ns gw sh -c "ss -Hlnu 'sport = :51888' | grep -q ."
head_of_file "listen_port = 51888" "mtu = 1300" 'routes = ["203.0.113.0/24"]'
peers_of_file
check "a taken port is refused by name" reload_says "listen_port 51888" 1
equal "the old one stays" 51999 "$(status gw "$g" .listen_port)"
check_not "and nothing else of that file is in force" in_ns gw sh -c \
	"ip route show 203.0.113.0/24 | grep -q ."
check "with its traffic" can_ping a 10.77.0.1
head_of_file "listen_port = 51999"
peers_of_file
check "mtu and routes go back" reload_says . 0
check "the route is gone" wait_for 20 in_ns gw sh -c "! ip route show 198.51.100.0/24 | grep -q ."
# A route that somebody else has: said, and not taken away.
in_ns gw ip link add d0 type bridge
in_ns gw ip link set d0 up
in_ns gw ip route add 198.51.100.0/24 dev d0
head_of_file "listen_port = 51999" 'routes = ["198.51.100.0/24"]'
peers_of_file
check "a route of another interface is refused by name" reload_says "198.51.100.0/24" 1
check "and stays" in_ns gw sh -c "ip route show 198.51.100.0/24 | grep -q d0"
check "the default MTU is back" wait_for 20 mtu_is 1420
kill_pids 1 "$streamer"
finish
