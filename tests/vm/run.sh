#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Boots Debian's cloud kernels under QEMU's software emulation and runs the tests of tests/vm/guest
# in them: interoperation with the kernel's own WireGuard, and the way past the kernel on virtio_net.
# The kernel packages are unpacked under build/vm, never installed.
#
# usage: sudo tests/vm/run.sh [KERNEL]...      (default: 6.1 6.12)
#
# TALTUN_VM_TESTS      scripts of tests/ to run instead ("netns/xdp_two_nodes.sh")
# TALTUN_VM_SECONDS    time limit of one machine (3600)
# TALTUN_VM_MEMORY     its memory in MiB (1024)       TALTUN_VM_CPUS   its processors (2)
# TALTUN_NO_SETUP=1    install nothing
set -u
cd "$(dirname "$0")/../.." || exit 1

kernels=("$@")
[ ${#kernels[@]} -gt 0 ] || kernels=(6.1 6.12)
all_tests=(vm/guest/kernel_wg.sh vm/guest/virtio_xdp.sh vm/guest/vlan.sh vm/guest/gateway.sh vm/guest/netem.sh
	vm/guest/unit.sh)
read -ra tests <<<"${TALTUN_VM_TESTS:-${all_tests[*]}}"
seconds=${TALTUN_VM_SECONDS:-3600}
memory=${TALTUN_VM_MEMORY:-1024} cpus=${TALTUN_VM_CPUS:-2}
folder=$PWD/build/vm
# Where the host is busy, the emulated processors stand still for seconds, and the kernel must not take
# that for a broken timer, or for a processor that hangs.
command_line="console=ttyS0 quiet panic=-1 nokaslr mitigations=off"
command_line+=" no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
passed=0 failed=0 skipped=0
qemu_pid='' tail_pid='' netns=''
ran=()

count_pass() { passed=$((passed + 1)); echo "  ok    $*"; }
count_fail() { failed=$((failed + 1)); echo "  FAIL  $*"; }
count_skip() { skipped=$((skipped + 1)); echo "  skip  $*"; }

finish() {
	printf '\n'
	printf '%s\n' "${ran[@]+"${ran[@]}"}"
	echo "vm: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}

skip_all() {
	echo "vm: skipped: $*"
	exit 77
}

end_machine() {
	if [ -n "$qemu_pid" ]; then
		kill -KILL "$qemu_pid" 2>/dev/null
		wait "$qemu_pid" 2>/dev/null
	fi
	[ -z "$tail_pid" ] || { kill "$tail_pid" 2>/dev/null; wait "$tail_pid" 2>/dev/null; }
	[ -z "$netns" ] || ip netns del "$netns" 2>/dev/null
	qemu_pid='' tail_pid='' netns=''
}
trap end_machine EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- what is needed ------------------------------------------------------------------------------

setup() {
	local missing=()
	command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
	command -v cpio >/dev/null || missing+=(cpio)
	command -v depmod >/dev/null || missing+=(kmod)
	# A busybox that is linked dynamically cannot be the whole of an initramfs.
	[ "$(dpkg-query -W -f '${db:Status-Status}' busybox-static 2>/dev/null)" = installed ] || missing+=(busybox-static)
	[ ${#missing[@]} -gt 0 ] || return 0
	[ -z "${TALTUN_NO_SETUP:-}" ] || skip_all "needs ${missing[*]}"
	echo "vm: installing ${missing[*]}"
	apt-get update -qq >/dev/null 2>&1
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		"${missing[@]}" >"$folder/setup.log" 2>&1 || {
		tail -n 5 "$folder/setup.log"
		skip_all "cannot install ${missing[*]}"
	}
}

# The newest signed cloud kernel of a series that apt knows.
package_of() {
	apt-cache search --names-only "^linux-image-${1//./\\.}[.0-9+a-z-]*-cloud-amd64\$" |
		awk '{ print $1 }' | grep -E "^linux-image-${1//./\\.}\.[0-9]" | sort -V | tail -n 1
}

# modules_of SERIES: where its modules lie, after downloading and unpacking it where that is new.
modules_of() {
	local package
	package=$(package_of "$1")
	[ -n "$package" ] || return 1
	if [ ! -e "$folder/$package/.unpacked" ]; then
		compgen -G "$folder/${package}_*.deb" >/dev/null ||
			(cd "$folder" && apt-get download -qq "$package") >&2 || return 1
		rm -rf "${folder:?}/$package"
		dpkg-deb -x "$(compgen -G "$folder/${package}_*.deb" | sort -V | tail -n 1)" "$folder/$package" &&
			: >"$folder/$package/.unpacked" || return 1
	fi
	find "$folder/$package" -maxdepth 4 -type d -path '*/lib/modules/*' | head -n 1
}

# --- one machine -----------------------------------------------------------------------------------

# Two NICs whose far ends are joined. Taps give them two queues each; a hub gives one.
wire_up() {
	local i
	net=()
	netns=tt$$vm
	if [ "$(id -u)" -eq 0 ] && ip netns add "$netns" 2>/dev/null &&
		ip -n "$netns" link add br0 type bridge 2>/dev/null && ip -n "$netns" link set br0 up; then
		for i in 0 1; do
			ip netns exec "$netns" ip tuntap add "tap$i" mode tap multi_queue vnet_hdr &&
				ip -n "$netns" link set "tap$i" master br0 up || return 1
			net+=(-netdev "tap,id=n$i,ifname=tap$i,script=no,downscript=no,queues=2,vhost=off")
		done
		launcher=(ip netns exec "$netns")
	else
		ip netns del "$netns" 2>/dev/null
		netns='' launcher=()
		for i in 0 1; do
			net+=(-netdev "hubport,hubid=0,id=n$i")
		done
	fi
	for i in 0 1; do
		net+=(-device "virtio-net-pci,netdev=n$i,mac=52:54:00:77:00:0$i,mq=$([ -n "$netns" ] && echo on || echo off),vectors=6")
	done
}

boot() {
	wire_up || return 1
	: >"$console"
	# ip netns exec replaces itself by the command: the pid is QEMU's own.
	"${launcher[@]}" qemu-system-x86_64 -accel tcg -machine q35 -cpu max -smp "$cpus" -m "$memory" \
		-kernel "$1" -initrd "$2" -append "$command_line" \
		-display none -monitor none -serial "file:$console" -no-reboot -nodefaults \
		"${net[@]}" </dev/null >"$folder/qemu-$release.log" 2>&1 &
	qemu_pid=$!
	tail -n +1 -f --pid="$qemu_pid" "$console" 2>/dev/null | sed -u 's/\r//; s/^/    /' &
	tail_pid=$!
}

running() { kill -0 "$qemu_pid" 2>/dev/null; }

# The result lines of the console, and what each test's status says beyond them.
collect() {
	local series=$1 test status line p f s text
	text=$(tr -d '\r' <"$console")
	for test in "${tests[@]}"; do
		status=$(sed -n "s,^VM status: $test \([0-9]*\)\$,\1,p" <<<"$text" | tail -n 1)
		line=$(grep -E "^$(basename "$test" .sh): [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped\$" <<<"$text" | tail -n 1)
		if [ -n "$line" ]; then
			read -r p f s < <(sed -E 's/.*: ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped/\1 \2 \3/' <<<"$line")
			passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
			[ "$status" = 0 ] || [ "$f" -gt 0 ] || count_fail "$series: $test: status ${status:-unknown}"
			ran+=("$release: $line")
		elif [ "$status" = 77 ]; then
			count_skip "$series: $(grep -E "^$(basename "$test" .sh): skipped" <<<"$text" | tail -n 1)"
			ran+=("$release: $test skipped")
		else
			count_fail "$series: $test did not end"
			ran+=("$release: $test did not end")
		fi
	done
	while read -r line; do
		count_fail "$series: $line"
	done < <(grep '^VM kernel complains' <<<"$text")
}

run_kernel() {
	local series=$1 modules version base started=$SECONDS
	printf '\n== Linux %s\n' "$series"
	if ! modules=$(modules_of "$series") || [ -z "$modules" ]; then
		count_skip "$series: apt has no such cloud kernel (6.12 is in bookworm-backports)"
		return
	fi
	version=$(basename "$modules") base=${modules%/lib/modules/*}
	base=${base%/usr}
	release=$version
	console=$folder/console-$version.log
	if ! tests/vm/initramfs.sh "$modules" "$folder/initramfs-$version" "${tests[@]}"; then
		count_fail "$series: no initramfs"
		return
	fi
	boot "$base/boot/vmlinuz-$version" "$folder/initramfs-$version" || {
		count_fail "$series: cannot start QEMU"
		end_machine
		return
	}
	while running && [ $((SECONDS - started)) -lt "$seconds" ]; do
		sleep 0.5
	done
	if running; then
		count_fail "$series: not done after $seconds s"
	elif grep -q '^VM done' "$console"; then
		count_pass "$series: booted, ran and ended in $((SECONDS - started)) s"
	else
		count_fail "$series: ended early: $(tail -n 3 "$folder/qemu-$release.log" | xargs)"
	fi
	# The last lines of the console, before its reader is ended.
	[ -z "$tail_pid" ] || { running || wait "$tail_pid" 2>/dev/null; tail_pid=; }
	end_machine
	collect "$series"
}

# A function, so that all of this file is read before anything runs: it may be edited meanwhile.
main() {
	local c k
	[ "$(uname -m)" = x86_64 ] || skip_all "the kernels are for x86_64"
	for c in apt-get apt-cache dpkg-deb; do
		command -v "$c" >/dev/null || skip_all "needs $c"
	done
	[ -x build/bin/taltund ] || skip_all "needs build/bin/taltund (make)"
	mkdir -p "$folder"
	setup
	for k in "${kernels[@]}"; do
		release=$k
		run_kernel "$k"
	done
	finish
}

main
exit
