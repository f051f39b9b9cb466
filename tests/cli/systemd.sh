#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The packages under a real systemd: a fresh Debian is booted in namespaces, and the units start, reload, come back
# after a crash and a hang, stop, and leave nothing. With TT_ALL=1 only (make check-deb): root, mmdebstrap, a mirror.
#
#	a (systemd of the fresh Debian, taltund@tt0 and taltun-hub)  10.8.0.1 --- 10.8.0.2  b (taltund of this build)
#
. "$(dirname "$0")/../netns/lib.sh"

[ -n "${TT_ALL:-}" ] || skip_all "booting a fresh Debian takes a minute: make check-deb"
need_root
need_commands taltun taltund taltun-hub mmdebstrap dpkg-deb nsenter

check "the packages are built" "$TT_ROOT/packaging/deb/build.sh" "$TT_WORK/debs" || finish
root=$TT_WORK/root
depends=$(for d in "$TT_WORK"/debs/*.deb; do dpkg-deb -f "$d" Depends && echo ,; done | tr ',' '\n' |
	sed -E 's/\(.*//; s/ //g; /^$/d' | sort -u | paste -sd,)
if ! mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Acquire::Retries "2"' \
	--include="$depends,systemd-sysv,dbus,nftables,procps" bookworm "$root" >"$TT_WORK/mmdebstrap.log" 2>&1; then
	skip_all "no mirror: $(grep -m1 -E '^E:' "$TT_WORK/mmdebstrap.log")"
fi
cp "$TT_WORK"/debs/*.deb "$root/root/"
chmod 755 "$TT_WORK" "$root"
check "they install" chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'dpkg -i /root/taltun*.deb'
ln -s /dev/null "$root/etc/systemd/system/systemd-udevd.service"
ln -s /dev/null "$root/etc/systemd/system/console-getty.service"

ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
bg_ns a "$TT_WORK/boot.log" unshare -m -p -u -C -f --kill-child sh "$TT_ROOT/tests/cli/support/boot.sh" "$root"
boot_pid=$BG_PID
first() { ps -o pid= --ppid "$boot_pid" | tr -d ' '; }
# sd COMMAND...: inside
sd() { nsenter -t "$(first)" -m -p -u -n -C -r -w -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
booted() { sd systemctl is-system-running | grep -qE 'running|degraded'; }
check "systemd comes up" wait_for 30 booted || finish
unit() { sd systemctl show -p "$2" --value "$1"; }
is_active() { [ "$(unit "$1" ActiveState)" = active ]; }

# --- a node ------------------------------------------------------------------------------------

wg_keys b
sd sh -c 'umask 077; taltun genkey > /etc/taltun/tt0.key'
sd sh -c 'taltun pubkey < /etc/taltun/tt0.key' >"$TT_WORK/a.pub"
tb=$(ifname b)
cat >"$root/etc/taltun/tt0.toml" <<END
[interface]
private_key_file = "/etc/taltun/tt0.key"
address = ["10.77.0.1/24"]
listen_port = 51820
[gateway]
subnets = ["192.168.50.0/24"]
[metrics]
listen = "unix:/run/taltun/tt0.metrics"
[[peer]]
public_key = "$(pub b)"
endpoint = "10.8.0.2:51820"
allowed_ips = ["10.77.0.2/32"]
END
cat >"$TT_WORK/$tb.toml" <<END
[interface]
name = "$tb"
private_key_file = "$(key_file b)"
address = ["10.77.0.2/24"]
listen_port = 51820
[[peer]]
public_key = "$(pub a)"
endpoint = "10.8.0.1:51820"
allowed_ips = ["10.77.0.1/32"]
END
chmod 600 "$TT_WORK/$tb.toml"
check "b is up" tt_start b "$TT_WORK/$tb.toml"
passes() { wait_for 40 in_ns b ping -c 1 -W 1 10.77.0.1; }

check "systemctl enable --now taltund@tt0" sd systemctl enable --now taltund@tt0
check "is active when the node serves" is_active taltund@tt0
check "traffic passes" passes
equal "all of it is the user taltun" taltun "$(sd ps -o user= -C taltun-monitor,taltun-engine,taltun-resolver | sort -u)"
check "its firewall is there" sd nft list table inet taltun_tt0
check "its status is told" test -n "$(unit taltund@tt0 StatusText)"
check_not "nothing of it complains of what the unit takes away" sh -c "nsenter -t $(first) -m -p -r -w -- \
	journalctl -u taltund@tt0 | grep -E 'libcap-ng|Operation not permitted|Permission denied'"
check "systemctl reload" sd systemctl reload taltund@tt0
sed -i 's/51820/518200/' "$root/etc/taltun/tt0.toml"
check_not "a reload with an invalid file fails" sd systemctl reload taltund@tt0
check "and the node runs on" passes
sed -i 's/518200/51820/' "$root/etc/taltun/tt0.toml"
# by it the next one finds its peer
wait_for 20 test -s "$root/var/lib/taltun/tt0.state"
main=$(unit taltund@tt0 MainPID)
sd kill -KILL "$main"
back() { is_active taltund@tt0 && [ "$(unit taltund@tt0 MainPID)" != "$1" ]; }
check "killed, it comes back" wait_for 20 back "$main"
check "with traffic" passes
sd sh -c 'mkdir -p /run/systemd/system/taltund@.service.d && printf "[Service]\nWatchdogSec=3\n" \
	>/run/systemd/system/taltund@.service.d/soon.conf && systemctl daemon-reload'
check "systemctl restart" sd systemctl restart taltund@tt0
main=$(unit taltund@tt0 MainPID)
sd pkill -STOP -x taltun-engine -P "$main"
check "one that hangs is started again by the watchdog" wait_for 30 back "$main"
check "with traffic again" passes

# --- a hub -------------------------------------------------------------------------------------

check "taltun-hub init" sd taltun-hub init --name 10.8.0.1
check "systemctl enable --now taltun-hub" sd systemctl enable --now taltun-hub
check "is active when the hub serves" is_active taltun-hub
check "the hub answers" sd taltun-hub status
check_not "its user may not read the CA's key" sd setpriv --reuid taltun-hub --regid taltun-hub --clear-groups \
	cat /var/lib/taltun-hub/ca.key
check "a node enrols" in_ns b env TALTUN_RUN_DIR=/run/taltun taltun enroll --no-start --interface tt1 \
	--config-dir "$TT_WORK" "$(sd taltun-hub token create --name b | grep '^taltun://')"
check "systemctl reload taltun-hub" sd systemctl reload taltun-hub
sd sh -c 'cp /etc/taltun/hub.toml /root/ && printf "[limits]\nconections = 3\n" >>/etc/taltun/hub.toml'
check_not "a reload with an invalid file fails, too" sd systemctl reload taltun-hub
sd cp /root/hub.toml /etc/taltun/hub.toml
check "which runs on" sd taltun-hub status

# --- the end -----------------------------------------------------------------------------------

check "an upgrade while both run" sd sh -c 'dpkg -i /root/taltun*.deb'
check "which run on" eval "is_active taltund@tt0 && is_active taltun-hub"
check "with traffic as before" passes
check "removal" sd dpkg -r taltun taltun-hub
check_not "stops both" eval "is_active taltund@tt0 || is_active taltun-hub"
check_not "the interface is gone" in_ns a ip link show tt0
sd rm /etc/taltun/tt0.key /etc/taltun/tt0.toml
check "purge" sd dpkg --purge taltun taltun-hub
equal "nothing is left" "" "$(cd "$root" && find etc var/lib run ! -path 'var/lib/dpkg/*' -name '*taltun*')"
finish
