#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The container images: what is in them, what they say of themselves, and that they run with what the
# compose file of docs/containers.md gives them and no more. No container runtime is needed: the image is
# unpacked, and its program started by tests/cli/support/contain.py. With TT_ALL=1 (make check-container)
# by AF_XDP, too.
#
#	a (the node's image)  10.8.1.2 --- 10.8.1.1  h (the hub's image)  10.8.2.1 --- 10.8.2.2  b (this build)
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltund taltun-hub jq python3 dpkg-query strip ldd
PATH=$PATH:/usr/sbin:/sbin
command -v nft >/dev/null || skip_all "needs nft"
contain=$TT_ROOT/tests/cli/support/contain.py

# --- the compose file --------------------------------------------------------------------------

# shellcheck disable=SC2016 # what fences a block
sed -n '/^```yaml$/,/^```$/p' "$TT_ROOT/docs/containers.md" | sed '/^```/d' >"$TT_WORK/compose.yaml"
if python3 -c 'import yaml' 2>/dev/null; then
	check "the compose file is YAML" sh -c "python3 -c 'import json, sys, yaml
print(json.dumps(yaml.safe_load(open(sys.argv[1]))))' '$TT_WORK/compose.yaml' >'$TT_WORK/compose.json'"
else
	skip_all "needs python3-yaml"
fi
compose() { jq -r "$1" "$TT_WORK/compose.json"; }
version=$(taltun version | cut -d' ' -f2)
for kind in node hub; do
	equal "compose: image of the $kind" "localhost/taltun-$kind:$version" "$(compose ".services.$kind.image")"
	equal "compose: the $kind loses all capabilities first" ALL "$(compose ".services.$kind.cap_drop | join(\",\")")"
	equal "compose: and gains none by executing" no-new-privileges:true \
		"$(compose ".services.$kind.security_opt | join(\",\")")"
	equal "compose: its root is read-only" true "$(compose ".services.$kind.read_only")"
done
equal "compose: the hub has none" "" "$(compose '.services.hub.cap_add // [] | join(",")')"
caps=$(compose '.services.node.cap_add | join(",")')
# bytes, as a runtime takes them, and what contain.py takes
memlock() { echo $(($(compose ".services.$1.ulimits.memlock") / 1024)); }

# --- the images --------------------------------------------------------------------------------

for kind in node hub; do
	check "the image of the $kind is made" "$TT_ROOT/scripts/container.sh" "$kind" --output "$TT_WORK/$kind.tar" || finish
	mkdir "$TT_WORK/$kind.image" "$TT_WORK/$kind"
	tar -C "$TT_WORK/$kind.image" -xf "$TT_WORK/$kind.tar"
done
if [ -n "${TT_ALL:-}" ]; then
	check "once more" "$TT_ROOT/scripts/container.sh" hub --output "$TT_WORK/again.tar"
	check "which gives the same bytes" cmp "$TT_WORK/hub.tar" "$TT_WORK/again.tar"
fi

# config KIND JQ
config() { jq -r "$2" "$TT_WORK/$1.image/$(jq -r '.[0].Config' "$TT_WORK/$1.image/manifest.json")"; }
digest() { sha256sum "$1" | cut -d' ' -f1; }
# a word a line
words() { config "$1" ".config.$2[]"; }

for kind in node hub; do
	image=$TT_WORK/$kind.image
	layer=$image/$(jq -r '.[0].Layers[0]' "$image/manifest.json")
	equal "$kind: one image of one layer, by name" "localhost/taltun-$kind:$version 1" \
		"$(jq -r '.[0].RepoTags[0]' "$image/manifest.json") $(jq '.[0].Layers | length' "$image/manifest.json")"
	equal "$kind: the configuration is called by its digest" "$(jq -r '.[0].Config' "$image/manifest.json")" \
		"$(digest "$image/$(jq -r '.[0].Config' "$image/manifest.json")").json"
	equal "$kind: and names the layer by its" "sha256:$(digest "$layer")" "$(config "$kind" '.rootfs.diff_ids[0]')"
	tar -C "$TT_WORK/$kind" -xpf "$layer"
	for f in "$(config "$kind" '.config.Entrypoint[0]')" "$(config "$kind" '.config.Healthcheck.Test[1]')"; do
		check "$kind: $f is in it" test -x "$TT_WORK/$kind$f"
	done
	equal "$kind: nothing is setuid or setgid" "" "$(find "$TT_WORK/$kind" -perm /6000)"
	equal "$kind: nothing but /tmp is for all to write" "$TT_WORK/$kind/tmp" \
		"$(find "$TT_WORK/$kind" ! -type l -perm /022)"
	equal "$kind: no shell, no interpreter, no package manager" "" \
		"$(cd "$TT_WORK/$kind" && find usr/bin usr/sbin ! -type d | grep -vxE 'usr/(sbin/(taltund|taltun-hub|nft)|bin/taltun)')"
	equal "$kind: every library's package is named, with its licence" "" \
		"$(cd "$TT_WORK/$kind" && for p in var/lib/dpkg/status.d/*; do
			[ -s "usr/share/doc/${p##*/}/copyright" ] || echo "$p"
		done)"
	less "$kind: MiB of files" "$(du -sm --apparent-size "$TT_WORK/$kind" | cut -f1)" 48
done
equal "the hub's user" 65532:65532 "$(config hub .config.User)"
equal "has its state" "65532:65532 700" "$(stat -c '%u:%g %a' "$TT_WORK/hub/var/lib/taltun-hub")"
equal "all else is root's" "" "$(find "$TT_WORK/hub" "$TT_WORK/node" ! -uid 0 ! -path '*/var/lib/taltun-hub' |
	{ [ "$(id -u)" -eq 0 ] && cat; })"

# --- running them ------------------------------------------------------------------------------

if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/net/tun ]; then
	skip "needs root and /dev/net/tun: running the images"
	finish
fi

# As a runtime does: read-only root, a /dev with nothing in it, /proc/sys and /sys for reading only.
image_mount() {
	local ns=$1 root=$2
	shift 2
	# shellcheck disable=SC2016 # for the shell inside
	in_ns "$ns" sh -e -c 'root=$1
		mount --bind "$root" "$root"
		mount -t tmpfs -o mode=755 none "$root/dev"
		mknod -m 666 "$root/dev/null" c 1 3
		mknod -m 444 "$root/dev/urandom" c 1 9
		mount -t proc none "$root/proc"
		mount -t sysfs -o ro none "$root/sys"
		mount --bind "$root/proc/sys" "$root/proc/sys"
		mount -o remount,bind,ro "$root/proc/sys"
		mount -o remount,bind,ro "$root"
		shift
		for volume; do mount --bind "${volume%%:*}" "$root${volume#*:}"; done' sh "$root" "$@"
}

TT_PRIVATE_DIRS="$TT_PRIVATE_DIRS /etc/taltun"
ns_add a h b
veth a v0 10.8.1.2/24 h p0 10.8.1.1/24
veth b v0 10.8.2.2/24 h p1 10.8.2.1/24
router h
in_ns a ip route add default via 10.8.1.1
in_ns b ip route add default via 10.8.2.1
in_ns h sysctl -qw "net.ipv4.ip_unprivileged_port_start=$(compose '.services.hub.sysctls["net.ipv4.ip_unprivileged_port_start"]')"
chmod 755 "$TT_WORK"

# a volume that is made new has the owner of what it covers
install -d -m 700 -o 65532 -g 65532 "$TT_WORK/volume.hub"
image_mount h "$TT_WORK/hub" "$TT_WORK/volume.hub:/var/lib/taltun-hub"
in_hub() { in_ns h python3 "$contain" "$TT_WORK/hub" "$(config hub .config.User)" - "$(memlock hub)" "$@"; }
hub() { in_hub "$(config hub '.config.Entrypoint[0]')" "$@"; }
mapfile -t hub_health < <(words hub Healthcheck.Test | tail -n +2)
mapfile -t hub_command < <(words hub Entrypoint && words hub Cmd)

check "hub: init" hub init --name 10.8.1.1
check_not "hub: its health check fails while it does not run" in_hub "${hub_health[@]}"
bg_ns h "$TT_WORK/hub.log" python3 "$contain" "$TT_WORK/hub" "$(config hub .config.User)" - \
	"$(memlock hub)" "${hub_command[@]}"
hub_pid=$BG_PID
check "hub: serves, as uid 65532 without a capability" wait_for 30 in_hub "${hub_health[@]}"
equal "hub: none of its processes has more" "CapPrm: 0000000000000000 Uid: 65532" \
	"$(for p in "$hub_pid" $(ps -o pid= --ppid "$hub_pid"); do
		awk '/^CapPrm|^Uid/ { print $1, $2 }' "/proc/$p/status" | sort | paste -sd' '
	done | sort -u)"

install -d -m 700 "$TT_WORK/volume.etc" "$TT_WORK/volume.node"
image_mount a "$TT_WORK/node" "$TT_WORK/volume.etc:/etc/taltun" "$TT_WORK/volume.node:/var/lib/taltun"
in_ns a mount -t tmpfs none "$TT_WORK/node$(compose '.services.node.tmpfs[0]')"
in_ns a sh -c "mkdir '$TT_WORK/node/dev/net' && mknod -m 666 '$TT_WORK/node/dev/net/tun' c 10 200"
# in_node CAPS COMMAND...
in_node() {
	local with=$1
	shift
	in_ns a python3 "$contain" "$TT_WORK/node" 0 "$with" "$(memlock node)" "$@"
}
mapfile -t node_health < <(words node Healthcheck.Test | tail -n +2)
mapfile -t node_command < <(words node Entrypoint && words node Cmd)
node_start() {
	bg_ns a "$TT_WORK/node.log" python3 "$contain" "$TT_WORK/node" 0 "$1" "$(memlock node)" "${node_command[@]}"
	node_pid=$BG_PID
}
# node_stop SECONDS
node_stop() { kill -TERM "$node_pid" && wait_for "$1" pid_gone "$node_pid"; }

token() { hub token create "$@" | grep '^taltun://'; }
check "b enrols as a gateway" in_ns b taltun enroll "$(token --name office --role gateway)"
check "node: enrols" in_node "$caps" /usr/bin/taltun enroll --no-start "$(token --name box)"
check_not "node: its health check fails while it does not run" in_node "$caps" "${node_health[@]}"
node_start "$caps"
check "node: comes up with $caps" wait_for 30 in_node "$caps" "${node_health[@]}"
may_lock() { [ "$(ulimit -Hl)" = unlimited ] || [ "$(ulimit -Hl)" -ge "$(memlock node)" ]; }
if may_lock; then
	check_not "node: and locks its keys" grep memory.not_locked "$TT_WORK/node.log"
else
	skip "node: $(ulimit -Hl) KiB of memory may be locked here, the compose file has $(memlock node)"
fi
check "traffic passes" wait_for 40 in_ns a ping -c 1 -W 1 10.90.0.1
engine_of() {
	local p
	for p in $(ps -o pid= --ppid "$1"); do
		[ "$(cat "/proc/$p/comm")" != taltun-engine ] || echo "$p"
	done
}
engine=$(engine_of "$node_pid")
equal "node: its engine is uid 65532 without a capability" "CapPrm: 0000000000000000 Uid: 65532" \
	"$(awk '/^CapPrm|^Uid/ { print $1, $2 }' "/proc/$engine/status" | sort | paste -sd' ')"
kill -STOP "$engine"
check "node: an engine that hangs is ended, and the node ends" node_stop 20
check_not "node: its interface is gone" in_ns a ip link show tt0

# --- each right is needed ----------------------------------------------------------------------

without() { tr ',' '\n' <<<"$caps" | grep -vx "$1" | paste -sd,; }
for cap in ${caps//,/ }; do
	[ "$cap" != KILL ] || continue
	node_start "$(without "$cap")"
	check "node: $cap is needed" wait_for 30 pid_gone "$node_pid"
done
node_start "$(without KILL)"
wait_for 30 in_node "$caps" "${node_health[@]}"
engine=$(engine_of "$node_pid")
kill -STOP "$engine"
check_not "node: KILL is needed, to end an engine that hangs" node_stop 6
kill -KILL "$engine" "$node_pid"

# --- AF_XDP ------------------------------------------------------------------------------------

if [ -z "${TT_ALL:-}" ]; then
	skip "by AF_XDP, and whether the same files give the same image: make check-container"
	finish
fi
export TALTUN_DATAPATH_MODE=xdp TALTUN_DATAPATH_UMEM_MB=16
xdp_is() {
	[ "$(in_node "$caps" /usr/bin/taltun status --json tt0 | jq -r '.[0].datapath.mode')" = "$1" ]
}
xdp_caps=$caps,NET_RAW,BPF,PERFMON
# the right to lock without a limit, where the limit cannot be what it is to be
may_lock || xdp_caps+=,IPC_LOCK
node_start "$xdp_caps"
if wait_for 30 xdp_is "native copy"; then
	pass "node: AF_XDP with NET_RAW, BPF, PERFMON"
	check "traffic passes by it" wait_for 40 in_ns a ping -c 1 -W 1 10.90.0.1
elif in_ns a taltun doctor 2>/dev/null | grep -q 'no AF_XDP sockets'; then
	skip "node: this kernel has no AF_XDP"
else
	fail "node: AF_XDP with NET_RAW, BPF, PERFMON"
fi
node_stop 20
node_start "$caps"
check "node: without them it goes by the sockets" wait_for 30 xdp_is socket
check "traffic passes all the same" wait_for 40 in_ns a ping -c 1 -W 1 10.90.0.1
node_stop 20
finish
