#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Cases 33 and 34. Clocks that jump: wall time back an hour and forward ten years, and a machine that slept.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]---- veth ----[v0 10.8.0.2]
#     a's clocks are moved by support/clocks.c
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping python3
need_taltund
cc=$(command -v "${CC:-cc}" || command -v gcc || command -v clang) || skip_all "needs a C compiler"
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b other
"$cc" -shared -fPIC -O1 -D_GNU_SOURCE -o "$TT_WORK/clocks.so" "$(dirname "$0")/support/clocks.c" -ldl ||
	skip_all "clocks.c does not compile"

# clocks WALL BOOT: seconds a's clocks are moved by. In place: the daemon has the file mapped.
clocks() {
	python3 -c 'import struct, sys
with open(sys.argv[1], "r+b") as f: f.write(struct.pack("=qq", int(sys.argv[2]), int(sys.argv[3])))' \
		"$TT_WORK/clocks" "$1" "$2"
}
head -c 16 /dev/zero >"$TT_WORK/clocks"

a_start() {
	daemon_start a "$ta" \
		env "LD_PRELOAD=$TT_WORK/clocks.so" "TT_CLOCKS=$TT_WORK/clocks" \
		"$TT_BIN/taltund" -f --config "$TT_WORK/a.toml" && wait_for 20 link_flag_up a "$ta"
}

toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
# b never initiates by itself: it has no endpoint and sends nothing but answers.
toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32

# Another private key and back again: sessions go, what was stamped before counts.
forget_sessions() {
	in_ns a wg set "$ta" private-key "$(key_file other)" &&
		in_ns a wg set "$ta" private-key "$(key_file a)"
}


# handshake_works MESSAGE: a needs a new one, and gets it.
handshake_works() {
	local before replayed
	before=$(handshakes b "$tb" a)
	replayed=$(drops b "$tb" hs_replayed_timestamp)
	forget_sessions || fail "wg set private-key"
	check "$1" wait_for 30 can_ping a 10.77.0.2
	check "with a new session" wait_for 20 at_least $((before + 1)) handshakes b "$tb" a
	equal "stamped later than the last one" "$replayed" "$(drops b "$tb" hs_replayed_timestamp)"
}

check "b starts" tt_start b "$TT_WORK/b.toml"
check "a starts" a_start
check "a reaches b" wait_for 20 can_ping a 10.77.0.2

echo "case 33: wall time:"
clocks -3600 0
handshake_works "an hour back"
clocks 315360000 0
handshake_works "ten years forward"
less "the daemon has believed it" $(($(date +%s) + 300000000)) "$(peer_field a "$ta" b last_handshake)"
clocks 0 0
handshake_works "and back to today"
in_ns b ip link set v0 down
forget_sessions
check_not "no answer to a handshake" can_ping a 10.77.0.2
clocks -3600 0
in_ns b ip link set v0 up
check "an hour back during a handshake" wait_for 30 can_ping a 10.77.0.2

echo "case 33: over a restart:"
clocks 315360000 0
handshake_works "ten years forward"
tt_stop a "$ta"
clocks 0 0
check "a starts today" a_start
check "a reaches b" wait_for 30 can_ping a 10.77.0.2

echo "case 34: asleep:"
before=$(handshakes b "$tb" a)
clocks 0 200
began=$(date +%s%3N)
# a handshake that was not answered at once would be tried again after 5 s
check "after 200 s the first packet gets through" in_ns a ping -n -q -c 1 -W 5 10.77.0.2
less "at once, ms" $(($(date +%s%3N) - began)) 4500
check "with a new session" wait_for 20 at_least $((before + 1)) handshakes b "$tb" a
less "and not a storm of them" "$(handshakes b "$tb" a)" $((before + 3))
clocks 0 4000
check "after an hour as well" in_ns a ping -n -q -c 1 -W 5 10.77.0.2
pid=$(tt_pid a "$ta")
before=$(cpu_ms "$pid")
wait_for 2 false
less "no timer runs wild, CPU ms in 2 s" $(($(cpu_ms "$pid") - before)) 300
equal "the engine never died" 0 "$(status a "$ta" .restarts)"
finish
