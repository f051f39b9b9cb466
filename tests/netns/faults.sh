#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Cases 31, 35, 38 and 40. The host fails the daemon: no descriptors, no permission to send, no link,
# no names, bad input. It says so, keeps quiet about it, and goes on when the fault is over.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]---- veth ----[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping socat nft python3
need_taltund
ns_add a b
ta=$(ifname a) tb=$(ifname b)
wg_keys a b c

link_up() {
	veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
}

config() {
	toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
	toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"' "keepalive = 1"
}
toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32 'endpoint = "10.8.0.1:51820"' "keepalive = 1"

link_up
config
check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "a reaches b" wait_for 20 can_ping a 10.77.0.2
monitor=$(tt_pid a "$ta")

# quiet MESSAGE: for two seconds hardly any CPU and hardly a line of log.
quiet() {
	local cpu lines
	cpu=$(cpu_ms "$monitor") lines=$(wc -l <"$(tt_log a "$ta")")
	in_ns a ping -n -q -i 0.02 -c 100 -W 0.1 10.77.0.2 >/dev/null 2>&1
	less "$1: CPU ms in 2 s" $(($(cpu_ms "$monitor") - cpu)) 400
	less "$1: log lines" $(($(wc -l <"$(tt_log a "$ta")") - lines)) 15
}

same_engine() {
	equal "the engine never died" 0 "$(status a "$ta" .restarts)"
}

echo "case 35: the firewall refuses to let anything out:"
in_ns a nft 'table inet wall { chain out { type filter hook output priority 0; udp dport 51820 drop; }; }'
before=$(drops a "$ta" tx_socket_error)
quiet "EPERM on every packet"
check "counted" at_least $((before + 1)) drops a "$ta" tx_socket_error
in_ns a nft delete table inet wall
check "over" wait_for 20 can_ping a 10.77.0.2

echo "case 31: the link goes:"
in_ns a ip link set v0 down
quiet "link down"
in_ns a ip link set v0 up
check "up again" wait_for 20 can_ping a 10.77.0.2
in_ns a ip link set v0 name v9
check "renamed" wait_for 20 can_ping a 10.77.0.2
in_ns a ip link del v9
quiet "link deleted"
check "the daemon answers" daemon_answers a "$ta"
link_up
check "made anew" wait_for 20 can_ping a 10.77.0.2
in_ns a ip addr del 10.8.0.1/24 dev v0
quiet "no address, no route"
in_ns a ip addr add 10.8.0.1/24 dev v0
check "address back" wait_for 20 can_ping a 10.77.0.2
same_engine

echo "case 35: no descriptors left:"
# Just what a fresh one needs, and four.
fds_of() { find "/proc/$1/fd" -mindepth 1 -maxdepth 1 | wc -l; }
tt_stop a "$ta"
check "a starts" tt_start a "$TT_WORK/a.toml"
open=$(printf '%s\n' "$(fds_of "$(tt_pid a "$ta")")" "$(fds_of "$(engine_pid a "$ta")")" | sort -n | tail -n 1)
tt_stop a "$ta"
check "a starts with $((open + 4)) descriptors" daemon_start a "$ta" sh -c \
	"ulimit -n $((open + 4)); exec '$TT_BIN/taltund' -f --config '$TT_WORK/a.toml'"
monitor=$(tt_pid a "$ta")
check "a reaches b" wait_for 20 can_ping a 10.77.0.2
none_left() {
	! in_ns a timeout 1 taltun status --json "$ta"
}
in_ns a timeout 6 python3 - "$ta" <<'PY' &
import socket, sys, time
held = []
for path in ["/run/taltun/%s.sock", "/run/wireguard/%s.sock"] * 20:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    try:
        s.connect(path % sys.argv[1])
        held.append(s)
    except OSError:
        pass
time.sleep(4)
PY
holder=$!
wait_for 20 none_left
check "nobody is answered any more" none_left
quiet "accept without descriptors"
check "the tunnel goes on" can_ping a 10.77.0.2
wait "$holder"
check "the daemon answers again" wait_for 20 daemon_answers a "$ta"
check "on both sockets" wait_for 20 status a "$ta" .up
same_engine

echo "case 40: nonsense on the sockets:"
uapi() { in_ns a socat -t 2 - "UNIX-CONNECT:/run/wireguard/$ta.sock"; }
control() { in_ns a socat -t 2 - "UNIX-CONNECT:/run/taltun/$ta.sock"; }
for text in 'set=1\nprivate_key=zz\n\n' 'set=1\nlisten_port=70000\n\n' 'set=1\npublic_key=00\n\n' \
	'set=1\nno_such_key=1\n\n' 'set=1\nreplace_peers=maybe\n\n' 'get=2\n\n' 'hello\n\n' \
	'set=1\nallowed_ip=10.0.0.0/8\n\n'; do
	check_not "UAPI: ${text%%\\n\\n}" grep -q '^errno=0' <(printf '%b' "$text" | uapi)
done
head -c 1000000 /dev/urandom | uapi >/dev/null 2>&1
head -c 1000000 /dev/urandom | control >/dev/null 2>&1
head -c 1000000 /dev/zero | tr '\0' x | control >/dev/null 2>&1
bg_ns a "$TT_WORK/idle.txt" timeout 10 python3 -c '
import socket, sys, time
held = []
for i in range(1000):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    try:
        s.connect("/run/wireguard/%s.sock" % sys.argv[1])
        s.send(b"set=1\nlisten_port=5" if i % 2 else b"")
    except OSError: pass
    held.append(s)
print("held", flush=True)
time.sleep(20)' "$ta"
idler=$BG_PID
check "1,000 idle or half-written UAPI connections" wait_for 20 grep -q held "$TT_WORK/idle.txt"
quiet "meanwhile"
check "the tunnel does not notice" in_ns a sh -c \
	"ping -n -q -c 50 -i 0.01 -W 1 10.77.0.2 | grep -q ' 0% packet loss'"
check "the other socket neither" status a "$ta" .up
kill_pids 1 "$idler"
check "UAPI answers again" wait_for 20 in_ns a wg show "$ta" public-key
check "control: not JSON" grep -q '"ok": *false' <(echo 'GET / HTTP/1.1' | control)
check "control: unknown op" grep -q '"ok": *false' <(echo '{"v":1,"op":"fly"}' | control)
check "the tunnel goes on" can_ping a 10.77.0.2
same_engine

echo "case 38: files that are wrong:"
# reject NAME TEXT PATTERN
reject() {
	local out rc
	printf '%b' "$2" >"$TT_WORK/bad.toml"
	out=$("$TT_BIN/taltun" check-config "$TT_WORK/bad.toml" 2>&1)
	rc=$?
	if [ "$rc" -eq 78 ] && grep -Eq "$3" <<<"$out"; then
		pass "$1: $(head -n 1 <<<"${out#"$TT_WORK"/}")"
	else
		fail "$1: status $rc, $out"
	fi
}
good="[interface]\nname = \"tt9\"\nprivate_key = \"$(key c)\"\n"
reject "empty" '' 'bad.toml:1:1'
reject "unknown key" "${good}colour = 1\n" 'bad.toml:4:1: .*colour'
reject "duplicate peer" "${good}[[peer]]\npublic_key = \"$(pub b)\"\n[[peer]]\npublic_key = \"$(pub b)\"\n" 'bad.toml:7:[0-9]+: '
reject "port 65536" "${good}listen_port = 65536\n" 'bad.toml:4:[0-9]+: .*65536'
reject "keepalive 65536" "${good}[[peer]]\npublic_key = \"$(pub b)\"\nkeepalive = 65536\n" 'bad.toml:6:[0-9]+: '
reject "2^63" "${good}listen_port = 9223372036854775808\n" 'bad.toml:4:[0-9]+: '
reject "NaN" "${good}mtu = nan\n" 'bad.toml:4:[0-9]+: '
reject "1e400" "${good}mtu = 1e400\n" 'bad.toml:4:[0-9]+: '
reject "NUL" "[interface]\nname = \"a\0b\"\n" 'bad.toml:2:[0-9]+: '
reject "deep nesting" "x = $(printf '[%.0s' $(seq 5000))\n" 'bad.toml:1:[0-9]+: '
head -c 1073741824 </dev/zero >"$TT_WORK/huge" 2>/dev/null || truncate -s 1G "$TT_WORK/huge"
check "1 GB is refused at once" timeout 5 sh -c "'$TT_BIN/taltun' check-config '$TT_WORK/huge' 2>/dev/null; [ \$? -eq 78 ]"
rm -f "$TT_WORK/huge"
printf '%b' "\xef\xbb\xbf[interface]\r\nname = \"tt9\"\r\nprivate_key = \"$(key c)\"\r\n" >"$TT_WORK/crlf.toml"
chmod 600 "$TT_WORK/crlf.toml"
check "BOM and CRLF are fine" "$TT_BIN/taltun" check-config "$TT_WORK/crlf.toml"
printf '%b' "${good}colour = 1\n" >"$TT_WORK/bad.toml"
in_ns a "$TT_BIN/taltund" -f --config "$TT_WORK/bad.toml" >"$TT_WORK/bad.txt" 2>&1
equal "taltund ends with 78" 78 $?
check "and names the place" grep -q 'bad.toml:4:1' "$TT_WORK/bad.txt"

echo "case 40: names that do not resolve:"
# A name server that never answers, one that says there is no such name.
bg_ns a "$TT_WORK/hang.txt" socat -u UDP4-RECVFROM:53,bind=127.0.0.53,fork /dev/null
printf 'nameserver 127.0.0.53\noptions timeout:30 attempts:5\n' >"$TT_WORK/resolv.conf"
in_ns a mount --bind "$TT_WORK/resolv.conf" "$(readlink -f /etc/resolv.conf)"
config
toml_peer "$TT_WORK/a.toml" c 10.77.0.3/32 'endpoint = "nowhere.example.com:51820"' "keepalive = 1"
check "reload with such a name" in_ns a timeout 5 taltun reload "$ta"
check "the tunnel goes on" can_ping a 10.77.0.2
quiet "a resolver that hangs"
equal "the peer has no endpoint" null "$(peer_field a "$ta" c endpoint)"
began=$(date +%s%3N)
tt_stop a "$ta"
less "SIGTERM takes ms" $(($(date +%s%3N) - began)) 2000
began=$(date +%s%3N)
check "start with such a name" tt_start a "$TT_WORK/a.toml"
less "takes ms" $(($(date +%s%3N) - began)) 3000
monitor=$(tt_pid a "$ta")
check "the other peer works" wait_for 20 can_ping a 10.77.0.2
began=$(date +%s%3N)
tt_stop a "$ta"
less "SIGTERM takes ms" $(($(date +%s%3N) - began)) 2000
check_not "and leaves nothing" in_ns a ip link show "$ta"
printf 'nameserver 127.0.0.54\noptions timeout:1 attempts:1\n' >"$TT_WORK/resolv.conf"
check "start with a name server that is not there" tt_start a "$TT_WORK/a.toml"
monitor=$(tt_pid a "$ta")
check "the other peer works" wait_for 20 can_ping a 10.77.0.2
quiet "no name server"
# The name comes to life.
printf '10.8.0.2 nowhere.example.com\n' >"$TT_WORK/hosts"
in_ns a mount --bind "$TT_WORK/hosts" /etc/hosts
has_endpoint() { [ "$(peer_field a "$ta" c endpoint)" = 10.8.0.2:51820 ]; }
check "a name that appears later is found" wait_for 20 has_endpoint
same_engine
finish
