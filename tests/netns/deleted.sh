#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 31: the interface is deleted under the daemon, the underlay's goes, comes back, and is renamed.
#
#   namespace a                                 namespace b
#   [v0 10.8.0.1]------------- veth ------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~~~~~~ tunnel ~~~~~~~~ [tt..b 10.77.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping socat
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b

node_config "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 51820
node_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
node_config "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 51820
node_peer "$TT_WORK/b.toml" a 10.77.0.1/32 'endpoint = "10.8.0.1:51820"'
check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "ping" wait_for 20 can_ping a 10.77.0.2

echo "case 31: the tunnel's link goes down, and comes back"

sed -i 's,^address = .*,address = ["10.77.0.1/24"\, "fd77::1/64"],; s,"10.77.0.2/32","10.77.0.2/32"\, "10.99.0.0/24"\, "fd99::/64",' \
	"$TT_WORK/a.toml"
check "an address and routes more" in_ns a taltun reload "$ta"
of_link() { { in_ns a ip -o addr show dev "$ta" scope global && in_ns a ip route show dev "$ta" && in_ns a ip -6 route show dev "$ta"; } |
	sed 's/^[0-9]*: *//; s/ *$//' | grep -v 'fe80::\|^multicast' | sort; }
before=$(of_link)
check "which are there" grep -q '^10.99.0.0/24' <<<"$before"
in_ns a ip link set "$ta" down
is_down() { in_ns a taltun status "$ta" --json | jq -e '.[0].up == false'; }
check "down" wait_for 10 is_down
check_not "the routes have gone with it" in_ns a ip route get 10.99.0.1 oif "$ta"
in_ns a ip link set "$ta" up
as_before() { [ "$(of_link)" = "$before" ]; }
check "up: addresses and routes are as before" wait_for 10 as_before || diff <(echo "$before") <(of_link)
check "ping" wait_for 20 can_ping a 10.77.0.2

echo "case 31: the TUN goes"

# deleted_ends PID: exit status of the daemon, 0, and nothing of it left.
deleted_ends() {
	local pid=$1 rc
	check "$2: the daemon ends" wait_for 20 pid_gone "$pid"
	wait "$pid"
	rc=$?
	equal "$2: on purpose" 0 "$rc"
	check_not "$2: no UAPI socket" in_ns a test -e "/run/wireguard/$ta.sock"
	check_not "$2: no control socket" in_ns a test -e "/run/taltun/$ta.sock"
	equal "$2: no process" "" "$(pgrep -f "^$TT_BIN/taltund.*$ta" | xargs)"
}

pid=$(tt_pid a "$ta")
mapfile -t family < <(family_pids "$pid")
check "ip link del, idle" in_ns a ip link del "$ta"
deleted_ends "$pid" "idle"
for p in "${family[@]}"; do
	pid_gone "$p" || fail "process $p is left"
done

check "the same name starts at once" tt_start a "$TT_WORK/a.toml"
check "traffic" wait_for 20 can_ping a 10.77.0.2
pid=$(tt_pid a "$ta")
tcp_copy a b 10.77.0.2 400000000 &
stream=$!
sleep 0.3
check "ip link del under load" in_ns a ip link del "$ta"
deleted_ends "$pid" "under load"
kill_pids 1 "$stream"

check "by name" tt_start a "$ta"
pid=$(tt_pid a "$ta")
check "ip link del before it was configured" in_ns a ip link del "$ta"
deleted_ends "$pid" "by name"

echo "case 31: the link below goes"

# --- the link below -----------------------------------------------------------------------------------

check "a starts" tt_start a "$TT_WORK/a.toml"
check "traffic" wait_for 20 can_ping a 10.77.0.2
pid=$(tt_pid a "$ta")
check "the link below is deleted" in_ns a ip link del v0
check_not "no traffic" can_ping a 10.77.0.2
check_not "the daemon lives" pid_gone "$pid"
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
check "traffic over a new one" wait_for 20 can_ping a 10.77.0.2
in_ns a ip link set v0 down
in_ns a ip link set v0 name w0
in_ns a ip link set w0 up
check "traffic after it was renamed" wait_for 20 can_ping a 10.77.0.2
check "TCP" tcp_copy a b 10.77.0.2

# The tunnel's own interface under another name: the daemon goes by its descriptor.
in_ns a ip link set "$ta" down
in_ns a ip link set "$ta" name other0
in_ns a ip link set other0 up
in_ns a ip route replace 10.77.0.0/24 dev other0
check "traffic after the tunnel was renamed" wait_for 20 can_ping a 10.77.0.2
in_ns a ip link del other0
deleted_ends "$pid" "renamed"
finish
