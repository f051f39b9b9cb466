#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The command line as people and scripts meet it: help, exit statuses, keys, configuration files,
# colour. Needs no rights and brings nothing up.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltund wg jq script
export TALTUN_RUN_DIR=$TT_WORK/run
unset NO_COLOR
mkdir "$TALTUN_RUN_DIR"
valid=$TT_ROOT/tests/config/valid
invalid=$TT_ROOT/tests/config/invalid

# status MESSAGE WANT COMMAND...
status() {
	local message=$1 want=$2 got=0
	shift 2
	"$@" >"$TT_WORK/out" 2>"$TT_WORK/err" </dev/null || got=$?
	equal "$message" "$want" "$got"
}

# says MESSAGE FILE PATTERN: of the last `status`
says() { check "$1" grep -qE -- "$3" "$TT_WORK/$2"; }
silent() { check_not "$1" test -s "$TT_WORK/$2"; }

# --- help ------------------------------------------------------------------------------------

mapfile -t commands < <(taltun help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p')
for c in "${commands[@]}"; do
	case $c in help | version) continue ;; esac
	status "$c --help" 0 taltun "$c" --help
	says "$c --help shows its usage" out "^usage: taltun $c"
	silent "$c --help keeps stderr clean" err
	taltun help "$c" >"$TT_WORK/help"
	check "help $c says the same" cmp "$TT_WORK/out" "$TT_WORK/help"
done
status "help" 0 taltun help
says "help documents the exit statuses" out "0 done, 1 failed, 2 .*, 3 .*, 78 "
status "--help" 0 taltun --help
status "version" 0 taltun version
says "version" out '^taltun [0-9]+\.[0-9]+\.[0-9]+$'
status "taltund --help" 0 taltund --help
status "version with an argument" 2 taltun version --json
status "taltund --version" 0 taltund --version
says "taltund --version" out '^taltund [0-9]+\.[0-9]+\.[0-9]+$'
equal "both have one version" "$(taltun version | cut -d' ' -f2)" "$(taltund --version | cut -d' ' -f2)"

# --- exit statuses ---------------------------------------------------------------------------

status "no command" 2 taltun
status "unknown command" 2 taltun frobnicate
says "names the unknown command" err 'frobnicate'
status "too many arguments" 2 taltun status a b
says "points to the help" err 'taltun status --help'
status "genkey with an argument" 2 taltun genkey x
status "bench of nothing" 2 taltun bench
status "bench of something else" 2 taltun bench disk
status "a number out of bounds" 2 taltun bench datapath --bytes 27
status "no number" 2 taltun bench datapath --batch x
status "an option without its value" 2 taltun bench datapath --ms
status "an unknown backend" 2 taltun bench datapath --backend rot13
status "no network interface" 2 taltun bench xdp
status "two network interfaces" 2 taltun bench xdp lo lo
status "an absent network interface" 1 taltun bench xdp nosuch
says "names the network interface" err 'nosuch'
status "no Ethernet interface" 1 taltun bench xdp lo
says "says what is wrong with it" err 'lo: no Ethernet'
status "check-config without a file" 2 taltun check-config
status "enroll without a token" 2 taltun enroll
status "enroll with half a token" 2 taltun enroll taltun://hub.example.com:443/AAAA
status "enroll with a prefix that is none" 2 taltun enroll --accept lan -
status "enroll with an option that is none" 2 taltun enroll --force yes -
status "enroll with an empty token from standard input" 2 sh -c 'taltun enroll - </dev/null'
status "events of nobody" 3 taltun events nosuch$$
status "import without a file" 2 taltun import
status "reload where nothing is up" 3 taltun reload
says "says what to do" err "taltun up"
status "up with an unknown option" 2 taltun up --frobnicate
says "names it" err "unknown option .--frobnicate"
status "up of a name that nothing is configured for" 78 taltun up nosuch$$
says "says where it looked" err "no /etc/taltun/nosuch$$.toml"
status "events with an unknown option" 2 taltun events --frobnicate
status "check-config with an unknown option" 2 taltun check-config --frobnicate
status "help of what is no command" 2 taltun help frobnicate
status "up without a file" 2 taltun up
status "down without an interface" 2 taltun down
status "status of an absent interface" 3 taltun status nosuch
says "names the interface" err 'nosuch'
status "peers of an absent interface" 3 taltun peers nosuch
status "reload of an absent interface" 3 taltun reload nosuch
status "down of an absent interface" 3 taltun down nosuch
status "down by the name of a file" 3 taltun down /etc/taltun/nosuch.toml
status "up of an absent file" 78 taltun up "$TT_WORK/nosuch.toml"
says "names the absent file" err 'nosuch.toml'
status "check-config of an absent file" 78 taltun check-config "$TT_WORK/nosuch.toml"
status "up of an invalid file" 78 taltun up "$invalid/mtu-575.toml"
status "taltund without arguments" 2 taltund
status "taltund with an unknown option" 2 taltund --frobnicate
status "taltund with a bad name" 2 taltund 'a/b'
status "taltund with two names" 2 taltund wg0 wg1
status "taltund with a file and a name" 2 taltund --config x.toml wg0
status "taltund with a bad --set" 2 taltund --set nonsense wg0
status "taltund with a bad --log-level" 2 taltund --log-level loud wg0

# --- nothing is up ---------------------------------------------------------------------------

status "status --json where nothing is up" 0 taltun status --json
equal "is an empty array" "[]" "$(cat "$TT_WORK/out")"
status "peers --json where nothing is up" 0 taltun peers --json
equal "is an empty array too" "[]" "$(cat "$TT_WORK/out")"
status "status where nothing is up" 0 taltun status
silent "prints nothing on stdout" out
says "and says so on stderr" err 'No taltun interface is up'
rmdir "$TALTUN_RUN_DIR"
status "status without a run directory" 0 taltun status --json
equal "is empty as well" "[]" "$(cat "$TT_WORK/out")"
mkdir "$TALTUN_RUN_DIR"

# --- keys ------------------------------------------------------------------------------------

for i in 1 2 3; do
	key=$(taltun genkey)
	equal "public key $i as wg(8) computes it" "$(wg pubkey <<<"$key")" "$(taltun pubkey <<<"$key")"
done
key=$(wg genkey)
equal "of a key of wg(8)" "$(wg pubkey <<<"$key")" "$(taltun pubkey <<<"$key")"
equal "without a newline" "$(wg pubkey <<<"$key")" "$(printf %s "$key" | taltun pubkey)"
check_not "two keys differ" test "$(taltun genkey)" = "$(taltun genkey)"
check "a preshared key is 32 bytes" test "$(taltun genpsk | base64 -d | wc -c)" -eq 32
check_not "two preshared keys differ" test "$(taltun genpsk)" = "$(taltun genpsk)"
check_not "pubkey of nothing" taltun pubkey </dev/null
check_not "pubkey of nonsense" taltun pubkey <<<"nonsense"
check_not "pubkey of a key and more" taltun pubkey <<<"$key $key"
(umask 022 && taltun genkey >"$TT_WORK/open.key" 2>"$TT_WORK/err")
says "a key into a file that all can read: a warning" err 'readable by others'
(umask 077 && taltun genkey >"$TT_WORK/shut.key" 2>"$TT_WORK/err")
silent "none for a file of mode 600" err

# --- configuration ---------------------------------------------------------------------------

status "a valid file" 0 taltun check-config "$valid/endpoint-name.toml"
says "says that it is valid" out ': valid, interface '
status "--dump" 0 taltun check-config --dump "$valid/endpoint-name.toml"
says "shows settings" out '^interface.name = '
says "but no keys" out '^interface.private_key = \(set\)$'
status "an invalid file" 78 taltun check-config "$invalid/mtu-575.toml"
says "names file, line and column" err 'mtu-575\.toml:[0-9]+:[0-9]+: '
silent "and prints nothing on stdout" out
status "an override from the environment" 0 \
	env TALTUN_INTERFACE_MTU=1300 taltun check-config --dump "$valid/endpoint-name.toml"
says "wins over the file" out '^interface.mtu = 1300$'
status "a wrong one" 78 env TALTUN_INTERFACE_MTU=soon taltun check-config "$valid/endpoint-name.toml"
says "is named" err 'TALTUN_INTERFACE_MTU'
status "--set" 0 env TALTUN_INTERFACE_MTU=1300 taltun check-config --set interface.mtu=1290 --dump \
	"$valid/endpoint-name.toml" --set=log.level=debug
says "wins over both" out '^interface.mtu = 1290$'
says "however it is written" out '^log.level = debug$'
status "a wrong one" 78 taltun check-config "$valid/endpoint-name.toml" --set interface.mtu=99
says "is named, too" err '^--set interface.mtu: '
status "one that sets nothing" 2 taltun check-config "$valid/endpoint-name.toml" --set interface.mtu

# Examples that are shipped are valid.
check "the configuration in taltun.toml(5)" "$TT_ROOT/tests/cli/examples.bash" man "$TT_WORK"
check "the configurations in README.md" "$TT_ROOT/tests/cli/examples.bash" readme "$TT_WORK"

# --- import ----------------------------------------------------------------------------------

cat >"$TT_WORK/wg5.conf" <<END
[Interface]
PrivateKey = $(taltun genkey)
Address = 10.77.0.2/24, fd77::2/64
ListenPort = 51820
DNS = 10.77.0.1, example.com
MTU = 1380
PostUp = echo up %i, with a comma
[Peer]
PublicKey = $(taltun genkey | taltun pubkey)
PresharedKey = $(taltun genpsk)
AllowedIPs = 10.77.0.0/24, fd77::/64
Endpoint = vpn.example.com:51820
PersistentKeepalive = 25
END
chmod 600 "$TT_WORK/wg5.conf"
status "import" 0 taltun import "$TT_WORK/wg5.conf" "$TT_WORK/wg5.toml"
silent "prints nothing" out
equal "the new file has mode 600" 600 "$(stat -c %a "$TT_WORK/wg5.toml")"
status "what was imported is valid" 0 taltun check-config "$TT_WORK/wg5.toml"
silent "without a warning" err
taltun check-config --dump "$TT_WORK/wg5.conf" >"$TT_WORK/before"
taltun check-config --dump "$TT_WORK/wg5.toml" >"$TT_WORK/after"
check "and means the same" diff "$TT_WORK/before" "$TT_WORK/after"
status "an existing file is not overwritten" 1 taltun import "$TT_WORK/wg5.conf" "$TT_WORK/wg5.toml"
says "and named" err "cannot create .*wg5.toml: File exists; move it away"
status "to standard output" 0 taltun import "$TT_WORK/wg5.conf"
check "it is the same text" cmp "$TT_WORK/out" "$TT_WORK/wg5.toml"
status "import of a broken file" 78 taltun import "$invalid/mtu-575.toml"

# --- doctor ----------------------------------------------------------------------------------

status "doctor with an unknown option" 2 taltun doctor --frobnicate
status "doctor of an absent interface" 1 taltun doctor nosuch0
says "names it" out 'problem +nosuch0: no such interface'
status "the same in JSON" 1 taltun doctor nosuch0 --json
check "which is JSON" eval "jq -e '.ok == false' '$TT_WORK/out' >/dev/null"
equal "with the problem" '"nosuch0"' \
	"$(jq -c '.checks[] | select(.result == "problem" and .check == "link") | .interface' "$TT_WORK/out")"
taltun doctor lo >"$TT_WORK/out" 2>"$TT_WORK/err"
says "loopback is no Ethernet" out 'lo: no Ethernet interface'
says "the kernel is looked at" out "$(uname -r)"
silent "doctor keeps stderr clean" err

# --- colour ----------------------------------------------------------------------------------

escapes() { grep -q $'\e' "$TT_WORK/tty"; }
on_terminal() { script -qec "$*" /dev/null >"$TT_WORK/tty" </dev/null; }
taltun help >"$TT_WORK/tty"
check_not "no colour into a pipe" escapes
on_terminal taltun help
check "colour on a terminal" escapes
on_terminal env NO_COLOR=1 taltun help
check_not "none where NO_COLOR is set" escapes
on_terminal taltun status --json
check_not "never in JSON" escapes
finish
