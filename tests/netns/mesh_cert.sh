#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The life of a node's certificate (case 26, end to end): renewed in time, with and without a new
# connection, kept whole and used after a crash and a restart; expired, not yet valid, of another CA;
# and a node whose clock is wrong.
#
#   h (hub) --- i (internet) --- gw, n (nodes, public; n's clock is moved by support/clocks.c)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
need_commands openssl python3 wg
CLIENT=$TT_TOOLS/hub_client
[ -x "$CLIENT" ] || skip_all "needs $CLIENT (make tools)"
cc=$(command -v "${CC:-cc}" || command -v gcc || command -v clang) || skip_all "needs a C compiler"
"$cc" -shared -fPIC -O1 -D_GNU_SOURCE -o "$TT_WORK/clocks.so" "$(dirname "$0")/support/clocks.c" -ldl ||
	skip_all "clocks.c does not compile"
head -c 16 /dev/zero >"$TT_WORK/clocks"
clocks() { # SECONDS that n's wall clock is moved by
	python3 -c 'import struct, sys
with open(sys.argv[1], "r+b") as f: f.write(struct.pack("=qq", int(sys.argv[2]), 0))' "$TT_WORK/clocks" "$1"
}
# In place of node_up: with that clock.
n_up() {
	in_ns n env "LD_PRELOAD=$TT_WORK/clocks.so" "TT_CLOCKS=$TT_WORK/clocks" TALTUN_LOG_LEVEL=debug \
		timeout 20 taltun up tt0
}
n_restart() {
	node_down n && n_up
}
log() { in_ns n cat /run/taltun/tt0.log; }
logged() { log | grep -c "event=$1" | grep -qx "${2:-1}"; }
up() { [ "$(st n .hub.state)" = up ]; }
says() { st n .hub.why | grep -q "$1"; }
reaches() { can_ping n "$(node_ip gw)"; }
direct() { path_is n gw direct; }
# An offer that is lost is made again after 2, then 4 s. comes_direct SECONDS: where it stays away, the
# check shows what the node said of it.
comes_direct() {
	wait_for "$1" direct && return
	in_ns n taltun status tt0 --json | jq -c '.peers[] | {name, path, paths, candidates}'
	log | grep -E 'peer\.|hub\.|mesh\.|handshake|engine\.' | tail -n 18
	return 1
}
CRT=/var/lib/taltun/tt0.hub/node.crt
days() { # that the certificate in the file is good for
	local until
	until=$(in_ns n openssl x509 -in "$CRT" -noout -enddate | cut -d= -f2)
	echo $((($(date -d "$until" +%s) - $(date +%s)) / 86400))
}
long() { [ "$(days)" -ge 28 ]; }
# forged FROM UNTIL: n has a certificate of this life, by the hub's CA.
forged() {
	in_ns n "$CLIENT" forge "$TT_WORK/hub" n "$1" "$2" "$TT_WORK/n" &&
		in_ns n cp "$TT_WORK/n/node.crt" "$TT_WORK/n/node.key" /var/lib/taltun/tt0.hub/
}

check "an internet" nats_start
check "a hub" hub_start
for n in gw n; do
	check "node $n" node $n
done
check "the gateway enrols" enroll gw --role gateway
check "the node enrols" enroll n
check "the node sees the gateway" wait_for 5 reaches
check "directly" comes_direct 8
mkdir -p "$TT_WORK/n"
mode=$(in_ns n stat -c %a "$CRT")
in_ns n wg show tt0 public-key | base64 -d >"$TT_WORK/n/wg.pub"

# --- renewal -------------------------------------------------------------------------------------

check "a certificate that is due in 4 s" forged -200 106
check "the node starts with it" n_restart
check "connected" wait_for 10 up
check "renewed in time" wait_for 12 logged hub.renewed
check "the file has the new one" wait_for 3 long
equal "without another connection" 1 "$(st n .hub.connects)"
equal "mode of the file" "$mode" "$(in_ns n stat -c %a "$CRT")"
equal "nothing beside it" "ca.crt node.crt node.key" "$(in_ns n ls /var/lib/taltun/tt0.hub | paste -sd' ')"
check "the key is its key" test "$(in_ns n openssl x509 -in "$CRT" -noout -pubkey)" = \
	"$(in_ns n openssl pkey -in /var/lib/taltun/tt0.hub/node.key -pubout)"
new=$(in_ns n sha256sum "$CRT")
kill -KILL "$(node_engine n)"
check "the engine is killed: connected" wait_for 10 up
check "with the new one" logged hub.renewed
check "the node is restarted: connected" eval 'n_restart && wait_for 10 up'
equal "the file is the same" "$new" "$(in_ns n sha256sum "$CRT")"
check "and it was not renewed again" logged hub.renewed

hub_stop
check "one that is overdue" forged -200 60
check "the node starts without a hub" n_restart
check "and reaches the gateway by the map it kept" wait_for 8 reaches
check "the hub is there" hub_serve
check "connected" wait_for 15 up
check "renewed at once" wait_for 3 long

# A disk that is full, or read-only: the node goes on with what it has in memory.
# Due so soon that it has not been renewed when the disk turns read-only, however busy the machine is.
for due in 4 16 64; do
	check "one that is due in $due s, again" forged -200 $((100 + due * 3 / 2))
	old=$(in_ns n sha256sum "$CRT")
	before=$(log | grep -c event=hub.renewed)
	check "the node starts with it" n_restart
	check "connected" wait_for 10 up
	in_ns n mount -o remount,ro /var/lib/taltun
	[ "$(in_ns n sha256sum "$CRT")" != "$old" ] || break
	in_ns n mount -o remount,rw /var/lib/taltun
done
check "case 39: a read-only disk: renewed" wait_for $((due + 20)) logged hub.renewed $((before + 1))
not_kept() { log | grep -q event=mesh.not_kept; }
check "case 39: and said that it is not kept" wait_for 5 not_kept
in_ns n mount -o remount,rw /var/lib/taltun
equal "case 39: the file is the old one, whole" "$old" "$(in_ns n sha256sum "$CRT")"
in_ns n ip addr add 192.0.2.77/32 dev e0
check "connected" wait_for 10 up
check "the tunnel is there" wait_for 3 reaches

# --- certificates that do not do ---------------------------------------------------------------------

check "one that has expired" forged -7200 -3600
check "the node starts with it" n_restart
check "case 26: it says so" wait_for 10 says "this node's certificate has expired: enrol anew"
check "case 26: and reaches the gateway" wait_for 8 reaches
less "case 26: lines of the log about it" "$(log | grep -c 'event=hub.unreachable .*expired')" 3
check "one that is not valid yet" forged 3600 7200
check "the node starts with it" n_restart
check "case 26: it says so" wait_for 10 says "not valid yet"
check "a good one" forged -60 864000
check "the node starts with it" n_restart
check "connected" wait_for 10 up
check "directly" comes_direct 8

# --- clocks -----------------------------------------------------------------------------------------

clocks -3600
check "an hour back: the tunnel does not notice" reaches
in_ns n ip addr del 192.0.2.77/32 dev e0
had=$(node_engine n)
kill -KILL "$had"
up_anew() { up && [ "$(node_engine n)" != "$had" ]; }
check "an engine that starts then is connected, too" wait_for 10 up_anew
check "directly" comes_direct 8
check "case 33: its handshakes are not older than those before" wait_for 3 reaches
clocks 0
check "right again: connected" up
check "directly" comes_direct 0
clocks 315576000
check "ten years ahead: the tunnel does not notice" reaches
check "nor does the connection" up
sleep 3
check "3 s later: still" eval 'up && reaches'
had=$(node_engine n)
kill -KILL "$had"
check "an engine that starts then says that the hub's has expired" wait_for 10 says expired
clocks 0
# What it said of itself while its clock was ahead must not outlive it.
check "right again, and restarted: connected" eval 'n_restart && wait_for 10 up'
check "directly" comes_direct 8

# --- another CA --------------------------------------------------------------------------------------

hub_stop
mv "$TT_WORK/hub" "$TT_WORK/hub.old"
check "a new hub of the same name" hub_start
check "case 26: the node says that it is another's" wait_for 70 says "signed by another CA"
check "and reaches the gateway" wait_for 5 reaches
hub_stop
rm -rf "$TT_WORK/hub" && mv "$TT_WORK/hub.old" "$TT_WORK/hub"
check "the old hub again" hub_serve
check "connected" wait_for 70 up
mesh_finish
