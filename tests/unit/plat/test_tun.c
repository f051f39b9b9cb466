/* SPDX-License-Identifier: MIT */
#include "plat/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tt_netns.h"
#include "tt_test.h"

#define ALL_OFFLOADS (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)

static uint8_t buf[70000];

/* Namespace and device; a skip is counted where that is not allowed. */
static bool enter(const char *name, unsigned queues, unsigned want, struct plat_tun_info *t)
{
	int err;

	if (!tt_netns_enter(1))
		return false;
	err = plat_tun_create(name, queues, want, t);
	if (err == -ENODEV || err == -EPERM || err == -EACCES) {
		tt_test_skip(1, "no TUN here");
		tt_netns_leave();
		return false;
	}
	CU_ASSERT_EQUAL_FATAL(err, 0);
	return true;
}

static void leave(struct plat_tun_info *t)
{
	plat_tun_close(t);
	tt_netns_leave();
}

static void up(const struct plat_tun_info *t)
{
	/* Without IPv6 no router solicitation comes out between the packets of a test. */
	tt_sh("sysctl -w net.ipv6.conf.%s.disable_ipv6=1", t->name);
	CU_ASSERT_EQUAL_FATAL(
		tt_sh("ip addr add 10.5.0.1/24 dev %s && ip link set %s up", t->name, t->name), 0);
}

static unsigned header_len(const struct plat_tun_info *t)
{
	return t->flags & PLAT_TUN_VNET_HDR ? sizeof(struct plat_vnet_hdr) : 0;
}

static void create_and_close(void)
{
	struct plat_tun_info t, second;

	if (!enter("ttu0", 1, ALL_OFFLOADS, &t))
		return;
	CU_ASSERT_STRING_EQUAL(t.name, "ttu0");
	CU_ASSERT_NOT_EQUAL(t.ifindex, 0);
	CU_ASSERT_EQUAL(t.queues, 1);
	CU_ASSERT_TRUE(!(t.flags & (PLAT_TUN_TSO | PLAT_TUN_USO)) || (t.flags & PLAT_TUN_VNET_HDR));
	CU_ASSERT_TRUE(fcntl(t.fd[0], F_GETFL) & O_NONBLOCK);
	CU_ASSERT_TRUE(fcntl(t.fd[0], F_GETFD) & FD_CLOEXEC);
	CU_ASSERT_EQUAL(plat_tun_create("ttu0", 1, ALL_OFFLOADS, &second), -EEXIST);
	CU_ASSERT_EQUAL(plat_tun_create("lo", 1, ALL_OFFLOADS, &second), -EEXIST);
	CU_ASSERT_EQUAL(plat_tun_create("much_too_long_name", 1, 0, &second), -EINVAL);
	CU_ASSERT_EQUAL(plat_tun_create("a/b", 1, 0, &second), -EINVAL);
	CU_ASSERT_EQUAL(plat_tun_create("ttu1", 0, 0, &second), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(plat_tun_create("ttx%d", 1, 0, &second), 0);
	CU_ASSERT_EQUAL(strncmp(second.name, "ttx", 3), 0);
	CU_ASSERT_EQUAL(second.flags, 0);
	plat_tun_close(&second);
	CU_ASSERT_EQUAL(tt_sh("ip link show %s", second.name), 1);
	plat_tun_close(&t);
	/* The name is free again at once. */
	CU_ASSERT_EQUAL_FATAL(plat_tun_create("ttu0", 1, ALL_OFFLOADS, &t), 0);
	leave(&t);
}

static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += tt_load_be16(p + i);
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

#define ECHO_PAYLOAD 56
#define ECHO_LEN     (20 + 8 + ECHO_PAYLOAD)

/* ICMP echo request 10.5.0.2 -> 10.5.0.1 */
static void build_echo(uint8_t p[ECHO_LEN], uint16_t sequence)
{
	static const uint8_t head[20] = {0x45, 0, 0,  ECHO_LEN, 0, 1, 0,  0, 64, IPPROTO_ICMP,
					 0,    0, 10, 5,	0, 2, 10, 5, 0,	 1};

	memset(p, 0x5a, ECHO_LEN);
	memcpy(p, head, 20);
	tt_store_be16(p + 10, checksum(p, 20));
	p[20] = 8;
	p[21] = 0;
	tt_store_be16(p + 22, 0);
	tt_store_be16(p + 24, 77);
	tt_store_be16(p + 26, sequence);
	tt_store_be16(p + 22, checksum(p + 20, ECHO_LEN - 20));
}

static ssize_t read_within(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	poll(&p, 1, ms);
	return plat_tun_read(fd, buf, sizeof(buf));
}

static ssize_t write_packet(const struct plat_tun_info *t, int fd, void *packet, size_t len)
{
	struct plat_vnet_hdr h = {0};
	struct iovec iov[2] = {{&h, header_len(t)}, {packet, len}};

	return plat_tun_writev(fd, iov, 2);
}

static void ping(const struct plat_tun_info *t)
{
	uint8_t echo[ECHO_LEN];
	unsigned head = header_len(t);

	build_echo(echo, 1);
	CU_ASSERT_EQUAL(write_packet(t, t->fd[0], echo, ECHO_LEN), (ssize_t)(head + ECHO_LEN));
	CU_ASSERT_EQUAL_FATAL(read_within(t->fd[0], 1000), (ssize_t)(head + ECHO_LEN));
	CU_ASSERT_EQUAL(buf[head + 20], 0);
	CU_ASSERT_EQUAL(memcmp(buf + head + 12, echo + 16, 4), 0);
	CU_ASSERT_EQUAL(memcmp(buf + head + 24, echo + 24, ECHO_LEN - 24), 0);
	CU_ASSERT_EQUAL(plat_tun_read(t->fd[0], buf, sizeof(buf)), -EAGAIN);
}

static void echo(void)
{
	struct plat_tun_info t;

	if (!enter("ttu0", 1, ALL_OFFLOADS, &t))
		return;
	up(&t);
	ping(&t);
	leave(&t);
	if (!enter("ttu0", 1, 0, &t))
		return;
	CU_ASSERT_EQUAL(t.flags, 0);
	up(&t);
	ping(&t);
	leave(&t);
}

static void state(void)
{
	struct plat_tun_info t;
	uint8_t packet[ECHO_LEN];

	if (!enter("ttu0", 1, ALL_OFFLOADS, &t))
		return;
	build_echo(packet, 1);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_DOWN);
	CU_ASSERT_EQUAL(write_packet(&t, t.fd[0], packet, ECHO_LEN), -EIO);
	up(&t);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_UP);
	/* Also while packets wait to be read. */
	write_packet(&t, t.fd[0], packet, ECHO_LEN);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_UP);
	CU_ASSERT_EQUAL(tt_sh("ip link set ttu0 down"), 0);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_DOWN);
	CU_ASSERT_EQUAL(tt_sh("ip link set ttu0 up"), 0);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_UP);
	CU_ASSERT_EQUAL(tt_sh("ip link del ttu0"), 0);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_GONE);
	CU_ASSERT_TRUE(plat_tun_read(t.fd[0], buf, sizeof(buf)) < 0);
	CU_ASSERT_TRUE(write_packet(&t, t.fd[0], packet, ECHO_LEN) < 0);
	leave(&t);
}

/* A process that holds a second namespace open until its pipe is closed. */
static pid_t hold_namespace(int *control)
{
	int go[2], ready[2];
	char c;
	pid_t pid;

	CU_ASSERT_FATAL(pipe2(go, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		close(go[1]);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		_exit(read(go[0], &c, 1) < 0);
	}
	close(go[0]);
	close(ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*control = go[1];
	return pid;
}

static void moved(void)
{
	struct plat_tun_info t;
	int control;
	pid_t pid;

	if (!enter("ttu0", 1, ALL_OFFLOADS, &t))
		return;
	pid = hold_namespace(&control);
	CU_ASSERT_EQUAL(tt_sh("ip link set ttu0 netns %d", (int)pid), 0);
	CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_DOWN);
	if (tt_sh("nsenter -t %d -n ip link set ttu0 name other", (int)pid) != 0) {
		tt_test_skip(1, "no nsenter(1)");
	} else {
		tt_sh("nsenter -t %d -n sysctl -w net.ipv6.conf.other.disable_ipv6=1", (int)pid);
		CU_ASSERT_EQUAL(
			tt_sh("nsenter -t %d -n ip addr add 10.5.0.1/24 dev other", (int)pid), 0);
		CU_ASSERT_EQUAL(tt_sh("nsenter -t %d -n ip link set other up", (int)pid), 0);
		CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_UP);
		ping(&t);
		CU_ASSERT_EQUAL(tt_sh("nsenter -t %d -n ip link set other down", (int)pid), 0);
		CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_DOWN);
		CU_ASSERT_EQUAL(tt_sh("nsenter -t %d -n ip link del other", (int)pid), 0);
		CU_ASSERT_EQUAL(plat_tun_state(t.fd[0]), PLAT_TUN_GONE);
	}
	close(control);
	waitpid(pid, NULL, 0);
	leave(&t);
}

/* UDP from the host into the TUN: super-packets where granted, and never anything else. */
static void host_sends(const struct plat_tun_info *t, unsigned datagrams, unsigned segment)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(4000),
				 .sin_addr.s_addr = htonl(0x0a050009)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), value = (int)segment;
	unsigned head = header_len(t), got = 0;

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(setsockopt(fd, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &value, sizeof(value)),
			0);
	memset(buf, 7, datagrams * segment);
	ssize_t sent = sendto(fd, buf, datagrams * segment, 0, (struct sockaddr *)&to, sizeof(to));
	if (sent < 0 && errno == EIO && !(t->flags & (PLAT_TUN_TSO | PLAT_TUN_USO))) {
		/* Before Linux 6.11 the host splits nothing for a device that makes no checksum. */
		close(fd);
		return;
	}
	CU_ASSERT_EQUAL(sent, (ssize_t)(datagrams * segment));
	while (got < datagrams) {
		ssize_t n = read_within(t->fd[0], 1000);
		struct plat_vnet_hdr h = {0};

		CU_ASSERT_FATAL(n > (ssize_t)head + 28);
		memcpy(&h, buf, head);
		unsigned payload = (unsigned)n - head - 28;
		CU_ASSERT_EQUAL(tt_load_be16(buf + head + 2), n - head);
		if (payload > segment) {
			CU_ASSERT_TRUE(t->flags & PLAT_TUN_USO);
			CU_ASSERT_EQUAL(h.gso_type, PLAT_VNET_GSO_UDP_L4);
			CU_ASSERT_EQUAL(h.gso_size, segment);
			CU_ASSERT_EQUAL(h.flags, PLAT_VNET_F_NEEDS_CSUM);
			CU_ASSERT_EQUAL(h.csum_start, 20);
			CU_ASSERT_EQUAL(h.csum_offset, 6);
		}
		got += payload / segment;
	}
	CU_ASSERT_EQUAL(got, datagrams);
	close(fd);
}

static void super_packets(void)
{
	static const unsigned want[] = {ALL_OFFLOADS, PLAT_TUN_VNET_HDR | PLAT_TUN_TSO,
					PLAT_TUN_VNET_HDR, 0};

	for (unsigned i = 0; i < TT_ARRAY_LEN(want); i++) {
		struct plat_tun_info t;

		if (!enter("ttu0", 1, want[i], &t))
			return;
		CU_ASSERT_EQUAL(t.flags & ~want[i], 0);
		up(&t);
		host_sends(&t, 40, 1000);
		ping(&t);
		leave(&t);
	}
}

/* The proof in a namespace where nothing lies. */
static void offloads_proved(void)
{
	struct plat_tun_offloads o;
	struct plat_tun_info t;

	if (!enter("ttu0", 1, ALL_OFFLOADS, &t))
		return;
	plat_tun_probe(&o);
	CU_ASSERT_EQUAL(o.tso, t.flags & PLAT_TUN_TSO ? PLAT_OFFLOAD_PROVED : PLAT_OFFLOAD_REFUSED);
	CU_ASSERT_EQUAL(o.uso, t.flags & PLAT_TUN_USO ? PLAT_OFFLOAD_PROVED : PLAT_OFFLOAD_REFUSED);
	leave(&t);
}

static void probe_with(const struct plat_tun_info *from, const struct plat_tun_info *to,
		       const char *rule, enum plat_offload tso, enum plat_offload uso)
{
	struct plat_tun_offloads o;

	CU_ASSERT_EQUAL_FATAL(
		tt_sh("nft 'table inet lie { chain f { type filter hook postrouting priority 0; "
		      "%s; }; }'",
		      rule),
		0);
	plat_tun_probe_between(from, to, &o);
	CU_ASSERT_EQUAL(o.tso, tso);
	CU_ASSERT_EQUAL(o.uso, from->flags & PLAT_TUN_USO ? uso : PLAT_OFFLOAD_REFUSED);
	CU_ASSERT_EQUAL(tt_sh("nft delete table inet lie"), 0);
}

/* A firewall plays the kernel that grants an offload and then loses or spoils its packets. */
static void offloads_broken(void)
{
	const enum plat_offload good = PLAT_OFFLOAD_PROVED, bad = PLAT_OFFLOAD_BROKEN,
				unknown = PLAT_OFFLOAD_UNPROVED;
	struct plat_tun_info from, to;

	if (!enter("from", 1, ALL_OFFLOADS, &from))
		return;
	if (!(from.flags & PLAT_TUN_TSO) || tt_sh("nft list tables") != 0) {
		tt_test_skip(1, "no TSO or no nft here");
		leave(&from);
		return;
	}
	CU_ASSERT_EQUAL_FATAL(plat_tun_create("to", 1, 0, &to), 0);
	CU_ASSERT_EQUAL_FATAL(
		tt_sh("ip link set from up && ip addr add 198.18.0.1/24 dev from && "
		      "ip addr add fd00:0:0:1::1/64 dev from && ip link set to up && "
		      "ip addr add 198.19.0.1/24 dev to && ip addr add fd00:0:0:2::1/64 dev to && "
		      "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"),
		0);
	probe_with(&from, &to, "accept", good, good);
	probe_with(&from, &to, "meta l4proto tcp meta length > 2000 drop", bad, good);
	probe_with(&from, &to, "meta nfproto ipv6 meta l4proto udp meta length > 2000 drop", good,
		   bad);
	probe_with(&from, &to, "meta length > 2000 @th,0,16 set 7", bad, bad);
	probe_with(&from, &to, "meta l4proto udp drop", good, unknown);
	plat_tun_close(&to);
	leave(&from);
}

static void mtu(void)
{
	struct plat_tun_info t;
	char text[8];
	FILE *f;

	if (!enter("ttu0", 1, ALL_OFFLOADS, &t))
		return;
	up(&t);
	CU_ASSERT_EQUAL(tt_sh("ip link set ttu0 mtu 34736"), 0);
	host_sends(&t, 1, 30000);
	CU_ASSERT_EQUAL(tt_sh("ip link set ttu0 mtu 65535"), 0);
	host_sends(&t, 1, 65000);
	/* The queue holds a burst. */
	f = popen("ip -o link show ttu0 | sed 's/.*qlen //;s/ .*//'", "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(text, sizeof(text), f));
	pclose(f);
	CU_ASSERT_TRUE(atoi(text) >= 500);
	leave(&t);
}

static void queues(void)
{
	struct plat_tun_info t;
	uint8_t packet[ECHO_LEN];
	unsigned head;

	if (!enter("ttu0", 4, ALL_OFFLOADS, &t))
		return;
	if (t.queues == 1) {
		tt_test_skip(1, "no multi-queue on this platform");
		CU_ASSERT_EQUAL(plat_tun_queue_detach(t.fd[0]), -ENOTSUP);
		leave(&t);
		return;
	}
	CU_ASSERT_EQUAL(t.queues, 4);
	up(&t);
	head = header_len(&t);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(plat_tun_state(t.fd[i]), PLAT_TUN_UP);
	/* With all others detached, answers can only come to the one that is left. */
	for (unsigned keep = 0; keep < 4; keep++) {
		for (unsigned i = 0; i < 4; i++)
			if (i != keep)
				CU_ASSERT_EQUAL(plat_tun_queue_detach(t.fd[i]), 0);
		CU_ASSERT_EQUAL(plat_tun_queue_detach(t.fd[(keep + 1) % 4]), -EINVAL);
		CU_ASSERT_EQUAL(plat_tun_state(t.fd[keep]), PLAT_TUN_UP);
		build_echo(packet, (uint16_t)keep);
		CU_ASSERT_EQUAL(write_packet(&t, t.fd[keep], packet, ECHO_LEN),
				(ssize_t)(head + ECHO_LEN));
		CU_ASSERT_EQUAL(read_within(t.fd[keep], 1000), (ssize_t)(head + ECHO_LEN));
		for (unsigned i = 0; i < 4; i++)
			if (i != keep)
				CU_ASSERT_EQUAL(plat_tun_queue_attach(t.fd[i]), 0);
	}
	leave(&t);
}

TT_TESTS("tun", {"create and close", create_and_close}, {"echo", echo}, {"state", state},
	 {"moved to another namespace", moved}, {"super-packets", super_packets},
	 {"offloads proved", offloads_proved}, {"offloads broken", offloads_broken}, {"mtu", mtu},
	 {"queues", queues})
