#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wg(8) and wg-quick(8) drive taltund as they drive other implementations; `taltun up` takes the
# same files; and the UAPI socket bears abuse while traffic flows.
#
#   namespace a                                 namespace b
#   [v0 10.8.0.1]------------- veth ------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~~~~~ WireGuard ~~~~~~ [tt..b 10.77.0.2]
#   taltund tt..a (daemonised)                  taltund tt..b
#
. "$(dirname "$0")/../netns/lib.sh"
. "$(dirname "$0")/../netns/support/traffic.sh"

need_root
need_taltund
need_commands wg wg-quick socat jq ping python3
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b c d e

# --- into the background -------------------------------------------------------------------------

# A reader of the output must see its end although the daemon lives on, and a descriptor that the
# caller left open must not stay open in it.
mkfifo "$TT_WORK/left-open"
background_start() {
	local out
	exec 7<>"$TT_WORK/left-open"
	out=$(in_ns a timeout 10 taltund "$ta" 2>&1) || return 1
	exec 7>&-
	[ -z "$out" ]
}
holds_fifo() {
	local p
	for p in $(in_ns a ip netns pids "$(ns_name a)"); do
		[ "$p" != $$ ] && find "/proc/$p/fd" -lname "*left-open" 2>/dev/null | grep -q . && return 0
	done
	return 1
}
check "taltund IFNAME returns, and its output ends" background_start
check "ready when it returns" in_ns a wg show "$ta" public-key
check_not "no inherited descriptor is kept" holds_fifo
check_not "a second one of the same name is refused" in_ns a timeout 10 taltund "$ta"
check_not "and so is a name that is none" in_ns a timeout 10 taltund "a/b"
equal "the socket is for root alone" 600 "$(in_ns a stat -c %a "/run/wireguard/$ta.sock")"
in_ns a env TALTUN_WG_DIR="$TT_WORK/wg" timeout 10 taltund "${ta}x"
equal "a directory that was missing is readable" 755 "$(stat -c %a "$TT_WORK/wg")"
check "taltun down ends that one" in_ns a taltun down "${ta}x"

# --- wg set, show, showconf, setconf, addconf, syncconf --------------------------------------------

wga() { in_ns a wg "$@"; }
peers_of_a() { wga show "$ta" peers; }
allowed_of() { wga show "$ta" allowed-ips | awk -v p="$(pub "$1")" '$1 == p { $1 = ""; print substr($0, 2) }'; }

check "wg set: key, port, mark" wga set "$ta" private-key "$(key_file a)" listen-port 51820 fwmark 0x77
equal "public key" "$(pub a)" "$(wga show "$ta" public-key)"
equal "listen port" 51820 "$(wga show "$ta" listen-port)"
equal "mark" 0x77 "$(wga show "$ta" fwmark)"
check "mark off" wga set "$ta" fwmark 0
equal "mark is off" off "$(wga show "$ta" fwmark)"
(umask 077 && wg genpsk >"$TT_WORK/psk")
check "wg set: a peer with everything" wga set "$ta" peer "$(pub b)" preshared-key "$TT_WORK/psk" \
	endpoint 10.8.0.2:51820 persistent-keepalive 25 allowed-ips 10.77.0.2/32,fd77::2/128
equal "preshared key" "$(cat "$TT_WORK/psk")" "$(wga show "$ta" preshared-keys | cut -f2)"
equal "endpoint" 10.8.0.2:51820 "$(wga show "$ta" endpoints | cut -f2)"
equal "keepalive" 25 "$(wga show "$ta" persistent-keepalive | cut -f2)"
equal "allowed IPs" "10.77.0.2/32 fd77::2/128" "$(allowed_of b)"
equal "wg show interfaces" "$ta" "$(wga show interfaces)"
check "IPv6 endpoint" wga set "$ta" peer "$(pub c)" endpoint '[fd08::9]:1234' allowed-ips 10.77.0.3/32
equal "IPv6 endpoint is shown" '[fd08::9]:1234' "$(wga show "$ta" endpoints | sed -n 2p | cut -f2)"
wga set "$ta" peer "$(pub d)" allowed-ips 192.168.0.0/16
equal "peers in the order they came" "$(pub b) $(pub c) $(pub d)" "$(peers_of_a | xargs)"

wga set "$ta" peer "$(pub c)" allowed-ips 10.77.0.3/32,10.77.0.2/32
equal "an allowed IP moves to the later peer" "fd77::2/128" "$(allowed_of b)"
equal "and is there" "10.77.0.2/32 10.77.0.3/32" "$(allowed_of c | xargs -n1 | sort | xargs)"
wga set "$ta" peer "$(pub b)" allowed-ips 10.77.0.2/32
equal "replacing takes it back" "10.77.0.2/32" "$(allowed_of b)"
check "own key as peer is no error" wga set "$ta" peer "$(pub a)" allowed-ips 10.77.0.0/24
equal "and changes nothing" "10.77.0.2/32" "$(allowed_of b)"
check_not "and is not there" grep -q "$(pub a)" <(peers_of_a)
wga set "$ta" peer "$(pub e)" allowed-ips 10.78.0.0/24
check "becoming a peer's key removes that peer" wga set "$ta" private-key "$(key_file e)"
check_not "it is gone" grep -q "$(pub e)" <(peers_of_a)
wga set "$ta" private-key "$(key_file a)"
check "removing" wga set "$ta" peer "$(pub d)" remove
equal "the others stay" "$(pub b) $(pub c)" "$(peers_of_a | xargs)"

wga showconf "$ta" >"$TT_WORK/shown.conf"
check "showconf has the key" grep -q "$(key a)" "$TT_WORK/shown.conf"
wga set "$ta" peer "$(pub c)" remove
check "setconf of what showconf wrote" wga setconf "$ta" "$TT_WORK/shown.conf"
wga showconf "$ta" >"$TT_WORK/shown2.conf"
check "gives the same again" cmp "$TT_WORK/shown.conf" "$TT_WORK/shown2.conf"
printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.79.0.0/24\n' "$(pub d)" >"$TT_WORK/add.conf"
check "addconf" wga addconf "$ta" "$TT_WORK/add.conf"
equal "adds" "$(pub b) $(pub c) $(pub d)" "$(peers_of_a | xargs)"
check "syncconf" wga syncconf "$ta" "$TT_WORK/shown.conf"
equal "removes what is not in the file" "$(pub b) $(pub c)" "$(peers_of_a | xargs)"
check "removing the private key" wga set "$ta" private-key /dev/null
equal "no public key any more" "(none)" "$(wga show "$ta" public-key)"
wga set "$ta" private-key "$(key_file a)"

# --- errors and odd clients, raw -------------------------------------------------------------------

hex_of() { base64 -d <"$TT_WORK/$1.pub" | od -An -tx1 | tr -d ' \n'; }
raw() { raw_uapi a "$ta" "$1" | xargs; }

equal "unknown key" "errno=-22" "$(raw 'set=1\nlisten_prt=1\n\n')"
equal "port too large" "errno=-22" "$(raw 'set=1\nlisten_port=65536\n\n')"
equal "key too short" "errno=-22" "$(raw 'set=1\nprivate_key=00\n\n')"
equal "replace_peers takes only true" "errno=-22" "$(raw 'set=1\nreplace_peers=false\n\n')"
equal "protocol version 2" "errno=-22" "$(raw "set=1\npublic_key=$(hex_of b)\nprotocol_version=2\n\n")"
equal "a line without =" "errno=-71" "$(raw 'set=1\nhello\n\n')"
equal "errors leave the peers alone" "$(pub b) $(pub c)" "$(peers_of_a | xargs)"
equal "several operations on one connection" "errno=0 errno=-22 errno=0" \
	"$(raw 'set=1\nfwmark=5\n\nset=1\nfwmark=x\n\nset=1\nfwmark=0\n\nget=1\n\n' | grep -o 'errno=[-0-9]*' | head -n 3 | xargs)"
equal "update_only of a stranger is nothing" "errno=0" \
	"$(raw "set=1\npublic_key=$(hex_of d)\nupdate_only=true\nallowed_ip=10.77.0.2/32\n\n")"
equal "it took nothing" "10.77.0.2/32" "$(allowed_of b)"
equal "allowed_ip=- removes" "errno=0" "$(raw "set=1\npublic_key=$(hex_of c)\nallowed_ip=-10.77.0.3/32\n\n")"
equal "it is removed" "(none)" "$(allowed_of c)"
equal "replace_peers" "errno=0" \
	"$(raw "set=1\nreplace_peers=true\npublic_key=$(hex_of b)\nendpoint=10.8.0.2:51820\nallowed_ip=10.77.0.2/32\n\n")"
equal "only the new one" "$(pub b)" "$(peers_of_a | xargs)"
check "a half-written set" raw_uapi a "$ta" "set=1\nfwmark=9\npublic_key=$(hex_of b)\npersist"
check "harms nobody" wga show "$ta"
wga set "$ta" fwmark 0
long=$(head -c 70000 /dev/zero | tr '\0' x)
equal "a line of 70,000 bytes closes the connection" "" "$(raw "set=1\n$long\n\n")"
equal "garbage closes the connection" "" "$(raw 'GET / HTTP/1.1\nHost: a\n\n')"
check "and the daemon goes on" wga show "$ta"

# --- traffic, and clients that do not read -----------------------------------------------------------

check "the other node starts" tt_start b "$tb"
in_ns b wg set "$tb" listen-port 51820 private-key "$(key_file b)" peer "$(pub a)" allowed-ips 10.77.0.1/32
addr_add a "$ta" 10.77.0.1/24
addr_add b "$tb" 10.77.0.2/24
in_ns a ip link set "$ta" up
in_ns b ip link set "$tb" up
check "traffic between the two" wait_for 20 can_ping a 10.77.0.2

# 130,560 networks of peer d, in one setconf, and all of them back.
python3 - "$(pub d)" >"$TT_WORK/many.conf" <<'PY'
import sys
print("[Peer]\nPublicKey = " + sys.argv[1])
for a in range(255):
    print("AllowedIPs = " + ", ".join("100.%d.%d.%d/31" % (64 + (a >> 2), ((a & 3) << 6) + (b >> 3), (b & 7) << 5 | c << 1)
          for b in range(512) for c in range(1)))
PY
want=$(grep -o '100\.[0-9.]*/31' "$TT_WORK/many.conf" | sort -u | wc -l)
equal "distinct networks in the file" 130560 "$want"
from=${EPOCHREALTIME/[.,]/}
check "addconf of 130,560 allowed IPs" wga addconf "$ta" "$TT_WORK/many.conf"
set_at=${EPOCHREALTIME/[.,]/}
allowed_of d | tr ' ' '\n' | sort -u >"$TT_WORK/many.got"
got_at=${EPOCHREALTIME/[.,]/}
equal "all of them are dumped" 130560 "$(wc -l <"$TT_WORK/many.got")"
check "and are the same" cmp <(grep -o '100\.[0-9.]*/31' "$TT_WORK/many.conf" | sort -u) "$TT_WORK/many.got"
echo "        set in $(((set_at - from) / 1000)) ms, dumped and sorted in $(((got_at - set_at) / 1000)) ms"
check "traffic goes on" can_ping a 10.77.0.2

cat >"$TT_WORK/clients.py" <<'PY'
"""Clients that misbehave: `slow PATH` asks for 4 MB and does not read; `idle PATH N` connects N times."""
import socket, sys, time
what, path = sys.argv[1:3]
held = []
for i in range(int(sys.argv[3]) if what == "idle" else 1):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    try:
        s.connect(path)
        if what == "slow":
            s.send(b"get=1\n\n")
        held.append(s)
    except OSError:
        pass
print("ready", flush=True)
time.sleep(60)
PY
client() {
	: >"$TT_WORK/client.$1"
	bg_ns a "$TT_WORK/client.$1" python3 "$TT_WORK/clients.py" "$1" "/run/wireguard/$ta.sock" "${2:-1}"
	client_pid=$BG_PID
	wait_for 20 grep -q ready "$TT_WORK/client.$1"
}
check "a client asks for everything and reads nothing" client slow
check "another one is served" in_ns a timeout 5 wg show "$ta" public-key
check "traffic goes on" can_ping a 10.77.0.2
check "and configuration" in_ns a timeout 5 wg set "$ta" peer "$(pub b)" persistent-keepalive 0
check "removing the peer under the dump" wga set "$ta" peer "$(pub d)" remove
check "is survived" in_ns a timeout 5 wg show "$ta" public-key
kill_pids 2 "$client_pid"
mapfile -t pids < <(in_ns a pgrep -f "taltund $ta")
before=$(cpu_ms "${pids[@]}")
check "1000 idle connections" client idle 1000
check "case 40: traffic goes on" can_ping a 10.77.0.2
check "case 40: 5 MB pass meanwhile" tcp_copy a b 10.77.0.2
kill_pids 2 "$client_pid"
check "case 40: wg is served afterwards" wait_for 20 wga show "$ta" public-key
after=$(cpu_ms "${pids[@]}")
less "case 40: nobody spun" "$((after - before))" 3000

in_ns a taltun down "$ta" >"$TT_WORK/down.out" 2>&1
check "taltun down ends it" wait_for 20 eval "! in_ns a ip link show $ta"
check "no socket is left" wait_for 20 eval "! in_ns a test -e /run/wireguard/$ta.sock"
tt_stop b "$tb"

# --- wg-quick, and taltun up with the same files -----------------------------------------------------

dir=$TT_WORK/etc
mkdir -m 700 "$dir"
# quick_file NAME KEY ADDRESS PEER PEER_ADDRESS [INTERFACE LINE]...
quick_file() {
	local name=$1 key=$2 addr=$3 peer=$4 peer_addr=$5 peer_ip=$6
	shift 6
	{
		printf '[Interface]\nPrivateKey = %s\nAddress = %s\nListenPort = 51820\n' "$(key "$key")" "$addr"
		printf '%s\n' "$@"
		printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\nEndpoint = %s:51820\n' "$(pub "$peer")" \
			"$peer_addr" "$peer_ip"
	} >"$dir/$name.conf"
	chmod 600 "$dir/$name.conf"
}
hooks=("PreUp = echo pre-up %i >>$dir/hooks" "PostUp = echo post-up %i >>$dir/hooks"
	"PostUp = echo second >>$dir/hooks" "PreDown = echo pre-down %i >>$dir/hooks"
	"PostDown = echo post-down %i >>$dir/hooks")
hooks_want() { printf 'pre-up %s\npost-up %s\nsecond\npre-down %s\npost-down %s\n' "$1" "$1" "$1" "$1"; }
quick() { in_ns a env WG_QUICK_USERSPACE_IMPLEMENTATION=taltund timeout 30 wg-quick "$@"; }
route_in() { in_ns a ip route show table "$2" | grep -q "^$1 "; }

quick_file "$tb" b 10.77.0.2/24 a 10.77.0.1/32 10.8.0.1
check "taltun up in the other namespace" in_ns b timeout 30 taltun up "$dir/$tb.conf"
quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32,10.99.0.0/24 10.8.0.2 "MTU = 1400" "${hooks[@]}"
: >"$dir/hooks"
check "wg-quick up" quick up "$dir/$ta.conf"
check "wg-quick: traffic" wait_for 20 can_ping a 10.77.0.2
check "wg-quick: route" route_in 10.99.0.0/24 main
equal "wg-quick: MTU" 1400 "$(in_ns a cat "/sys/class/net/$ta/mtu" 2>/dev/null || in_ns a ip -j link show "$ta" | jq '.[0].mtu')"
check "wg-quick down" quick down "$dir/$ta.conf"
check "wg-quick: interface is gone" wait_for 20 eval "! in_ns a ip link show $ta"
equal "wg-quick: hooks" "$(hooks_want "$ta")" "$(cat "$dir/hooks")"
check "wg-quick: no socket is left" wait_for 20 eval "! in_ns a test -e /run/wireguard/$ta.sock"

: >"$dir/hooks"
check "taltun up" in_ns a timeout 30 taltun up "$dir/$ta.conf"
check "taltun up: traffic" wait_for 20 can_ping a 10.77.0.2
check "taltun up: route" route_in 10.99.0.0/24 main
equal "taltun up: MTU" 1400 "$(in_ns a ip -j link show "$ta" | jq '.[0].mtu')"
check "taltun up: wg shows it" wga show "$ta" public-key
check_not "taltun up: a second time" in_ns a timeout 30 taltun up "$dir/$ta.conf"
check "taltun down" in_ns a timeout 30 taltun down "$dir/$ta.conf"
check_not "taltun down: interface is gone" in_ns a ip link show "$ta"
equal "taltun up/down: hooks" "$(hooks_want "$ta")" "$(cat "$dir/hooks")"
check_not "taltun down: route is gone" route_in 10.99.0.0/24 main
check_not "taltun down: again" in_ns a timeout 30 taltun down "$ta"

quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32,10.99.0.0/24 10.8.0.2 "Table = off"
check "Table = off" in_ns a timeout 30 taltun up "$dir/$ta.conf"
check_not "brings no route" route_in 10.99.0.0/24 main
in_ns a taltun down "$ta"
quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32,10.99.0.0/24 10.8.0.2 "Table = 4242"
check "Table = 4242" in_ns a timeout 30 taltun up "$dir/$ta.conf"
check "brings the route there" route_in 10.99.0.0/24 4242
check_not "and not to main" route_in 10.99.0.0/24 main
in_ns a taltun down "$ta"
check_not "down takes it away" route_in 10.99.0.0/24 4242

quick_file "$ta" a 10.77.0.1/24 b 0.0.0.0/0,::/0 10.8.0.2
in_ns a ip rule >"$TT_WORK/rules.before"
in_ns a ip -6 rule >>"$TT_WORK/rules.before"
check "default routes through the tunnel" in_ns a timeout 30 taltun up "$dir/$ta.conf"
check "traffic through them, and the outer packets beside" wait_for 20 can_ping a 10.77.0.2
check "another address goes into the tunnel" eval "in_ns a ip route get 192.0.2.9 | grep -q 'dev $ta'"
in_ns a taltun down "$ta"
in_ns a ip rule >"$TT_WORK/rules.after"
in_ns a ip -6 rule >>"$TT_WORK/rules.after"
check "the rules are as before" cmp "$TT_WORK/rules.before" "$TT_WORK/rules.after"

quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32 10.8.0.2 "SaveConfig = true"
check "SaveConfig: up" in_ns a timeout 30 taltun up "$dir/$ta.conf"
wga set "$ta" peer "$(pub c)" allowed-ips 10.77.5.0/24
in_ns a timeout 30 taltun down "$ta"
check "SaveConfig: the new peer is in the file" grep -q "$(pub c)" "$dir/$ta.conf"
check "SaveConfig: its network too" grep -q "10.77.5.0/24" "$dir/$ta.conf"
equal "SaveConfig: the file stays private" 600 "$(stat -c %a "$dir/$ta.conf")"
check "SaveConfig: up from it" in_ns a timeout 30 taltun up "$dir/$ta.conf"
equal "SaveConfig: both peers" "$(printf '%s\n' "$(pub b)" "$(pub c)" | sort)" "$(peers_of_a | sort)"
in_ns a timeout 30 taltun down "$ta"

quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32 10.8.0.2 "DNS = 10.77.0.2"
if command -v resolvconf >/dev/null; then
	skip "DNS without resolvconf: it is installed"
else
	check_not "DNS without resolvconf is refused" in_ns a timeout 30 taltun up "$dir/$ta.conf"
	in_ns a timeout 30 taltun up "$dir/$ta.conf" >"$TT_WORK/dns.out" 2>&1
	check "by name" grep -q "resolvconf" "$TT_WORK/dns.out"
	check_not "and nothing was started" in_ns a ip link show "$ta"
fi
# A program of ours in its place: what it was told, and then an error in the file, which must not leave name servers.
mkdir "$TT_WORK/bin"
printf '#!/bin/sh\necho "$@" >>%s\n' "$dir/resolvconf" >"$TT_WORK/bin/resolvconf"
chmod +x "$TT_WORK/bin/resolvconf"
with_dns() { in_ns a env "PATH=$TT_WORK/bin:$PATH" timeout 30 "$@"; }
quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32 no.such.invalid "DNS = 10.77.0.2" "PostDown = echo post-down >>$dir/hooks"
: >"$dir/hooks"
check "DNS by resolvconf" with_dns taltun up "$dir/$ta.conf"
sed -i 's/^DNS/DSN/' "$dir/$ta.conf"
with_dns taltun down "$ta" 2>"$TT_WORK/down.err"
equal "down with an error in the file" 78 $?
check "says where" grep -q "$ta.conf:.*\"DSN\"" "$TT_WORK/down.err"
check "and what was not done" grep -q "without the pre_down and post_down of $dir/$ta.conf" "$TT_WORK/down.err"
check_not "the interface is gone" in_ns a ip link show "$ta"
equal "and so are the name servers" "-a $ta -m 0 -x|-d $ta -f" "$(paste -sd'|' "$dir/resolvconf")"
equal "no hook was guessed" "" "$(cat "$dir/hooks")"
# Debian's resolvconf has an order of interfaces instead of metrics; /etc is this test's own meanwhile.
mkdir "$TT_WORK/etc-up" "$TT_WORK/etc-work"
# shellcheck disable=SC2016 # the other shell's
debian_etc='mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc-up,workdir=$1/etc-work" /etc || exit 9
	mkdir -p /etc/resolvconf && printf "# order\nlo.inet6\nlo\ntun*\ntap*\neth*\n*\n" >/etc/resolvconf/interface-order
	shift; exec "$@"'
with_order() { in_ns a env "PATH=$TT_WORK/bin:$PATH" timeout 30 unshare -m sh -c "$debian_etc" - "$TT_WORK" "$@"; }
sed -i 's/^DSN/DNS/' "$dir/$ta.conf"
: >"$dir/resolvconf"
if with_order true; then
	check "where Debian orders interfaces" with_order taltun up "$dir/$ta.conf"
	check "and down" with_order taltun down "$ta"
	equal "the tunnel's name servers come before those of cards" "-a tun.$ta -m 0 -x|-d tun.$ta -f" \
		"$(paste -sd'|' "$dir/resolvconf")"
else
	skip "no overlay on /etc here: Debian's order of name servers"
fi
bg_ns a "$TT_WORK/alone.log" "$TT_BIN/taltund" -f --config "$dir/$ta.conf"
said() { grep -qE -- "$1" "$TT_WORK/alone.log"; }
check "the daemon alone names what it does not do" wait_for 20 said \
	'level=warn.*event=config.not_done what="post_down dns"'
check "a name that is not found is named, with its peer's key" wait_for 20 said \
	"event=resolver.failed peer=$(pub b | cut -c1-8) host=no.such.invalid error="
kill_pids 3 "$BG_PID"

check "a hook that fails takes the interface down" quick_file "$ta" a 10.77.0.1/32 b 10.77.0.2/32 10.8.0.2 \
	"PostUp = false"
check_not "up says so" in_ns a timeout 30 taltun up "$dir/$ta.conf"
check_not "and the interface is gone" in_ns a ip link show "$ta"
finish
