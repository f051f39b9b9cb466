/* SPDX-License-Identifier: MIT
 *
 * One side of a two-node tunnel over the data plane alone: static session, no handshake, no control
 * thread. Run one in each namespace; see twonode.sh.
 *
 *	twonode IFNAME REMOTE:UDP_PORT PREFIX[,PREFIX] a|b SECONDS [WORKERS]
 *[adaptive|busy|interrupt]
 *
 * With RELAY=1 in the environment each side is the other's UDP relay. INNER_MTU=N is the path's
 *MTU, with INNER_MTU_AT=SECONDS only from then on. OWN=ADDRESS is the interface's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>
#include <time.h>

#include "crypto/aead.h"
#include "datapath/plane.h"

static struct wg_session session;

static void die(const char *what, int err)
{
	fprintf(stderr, "twonode: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void session_init(bool a)
{
	memset(session.send_key.bytes, a ? 0x11 : 0x22, CRYPTO_AEAD_KEY_LEN);
	memset(session.recv_key.bytes, a ? 0x22 : 0x11, CRYPTO_AEAD_KEY_LEN);
	session.local_index = a ? 0x10001 : 0x20002;
	session.remote_index = a ? 0x20002 : 0x10001;
	session.peer = 0;
	/* so far ahead that the session outlives any run */
	session.born.ns = UINT64_MAX / 2;
	atomic_flag_clear(&session.rx_lock);
	wg_replay_init(&session.replay);
}

static struct wg_lpm *lpm_of(char *prefixes)
{
	static struct wg_allowedips set;
	static struct wg_allowedips_entry entries[4];
	static uint32_t buckets[4];
	static struct wg_allowedips_peer peers[1];
	struct tt_cidr cidr;

	wg_allowedips_init(&set, entries, buckets, 4, peers, 1);
	for (char *p; (p = strsep(&prefixes, ",")) != NULL;) {
		if (tt_cidr_parse(p, &cidr))
			die("prefix", -22);
		wg_allowedips_insert(&set, &cidr, 0);
	}
	return wg_lpm_build(&set, aligned_alloc(64, TT_ALIGN_UP(wg_lpm_size(&set), (size_t)64)));
}

static void open_tun(struct dp_config *cfg, const char *name)
{
	struct plat_tun_info tun;
	int err = plat_tun_create(name, cfg->workers,
				  PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO, &tun);

	if (err)
		die("tun", err);
	cfg->tun_flags = tun.flags;
	for (unsigned i = 0; i < tun.queues; i++)
		cfg->tun_fd[i] = tun.fd[i];
}

static void open_udp(struct dp_config *cfg, uint16_t udp_port)
{
	struct plat_udp_options opt = {.family = TT_FAMILY_V4,
				       .udp_port = udp_port,
				       .buffer_bytes = 8 << 20,
				       .reuseport = cfg->workers > 1};

	cfg->udp_flags = plat_udp_probe();
	if (getenv("NOGRO"))
		cfg->udp_flags &= ~(unsigned)PLAT_UDP_GRO;
	for (unsigned i = 0; i < cfg->workers; i++) {
		int fd = plat_udp_open(&opt, &udp_port);

		if (fd < 0)
			die("udp", fd);
		if (cfg->udp_flags & PLAT_UDP_GRO)
			plat_udp_enable_gro(fd, true);
		cfg->udp4_fd[i] = fd;
	}
}

static void report(struct dp_plane *pl, const char *name)
{
	struct timespec cpu;
	struct dp_stats st;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	dp_plane_stats(pl, UINT_MAX, &st);
	printf("%s cpu %.2f rx %lu/%lu batches tx %lu/%lu batches tun_rx %lu/%lu reads "
	       "tun_tx %lu/%lu writes loops %lu sleeps %lu\n",
	       name, (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9, st.rx_packets, st.rx_batches,
	       st.tx_packets, st.tx_batches, st.tun_rx_packets, st.tun_rx_reads, st.tun_tx_packets,
	       st.tun_tx_writes, st.loops, st.sleeps);
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		if (st.drops[i])
			printf("%s drop %s %lu\n", name, tt_drop_name(i), st.drops[i]);
}

static unsigned env_number(const char *name)
{
	const char *value = getenv(name);

	return value ? (unsigned)atoi(value) : 0;
}

static void set_path(struct dp_plane *pl, struct dp_peer *p, const struct plat_udp_dest *dest,
		     uint32_t inner_mtu)
{
	struct dp_route route = {.dest = *dest, .inner_mtu = inner_mtu};

	if (getenv("RELAY")) {
		route.via = DP_VIA_RELAY_UDP;
		route.tag = 1;
		dp_plane_set_relays(pl, &dest->to, 1);
	}
	dp_peer_set_path(pl, p, &route, NULL);
}

/* What is for sockets of this host is treated in another way than what goes on. */
static void set_own(struct dp_plane *pl)
{
	const char *address = getenv("OWN");
	struct tt_cidr own;

	if (!address)
		return;
	if (tt_cidr_parse(address, &own))
		die("OWN", -22);
	dp_plane_set_inner_addresses(pl, &own.ip, 1);
}

int main(int argc, char **argv)
{
	struct dp_config cfg = {.workers = argc > 6 ? (unsigned)atoi(argv[6]) : 1, .mtu = 1420};
	struct plat_udp_dest dest = {0};
	const char *poll = argc > 7 ? argv[7] : "adaptive", *backend;
	struct dp_plane *pl;

	if (argc < 6 || tt_endpoint_parse(argv[2], &dest.to)) {
		fprintf(stderr, "usage: twonode IFNAME REMOTE:UDP_PORT PREFIX a|b SECONDS\n");
		return 2;
	}
	cfg.poll = poll[0] == 'b'   ? DP_POLL_BUSY
		   : poll[0] == 'i' ? DP_POLL_INTERRUPT
				    : DP_POLL_ADAPTIVE;
	cfg.between = DP_BETWEEN_KERNEL;
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++)
		cfg.tun_fd[i] = cfg.udp4_fd[i] = cfg.udp6_fd[i] = -1;
	if (crypto_aead_select(getenv("TALTUN_AEAD"), &backend) != CRYPTO_AEAD_CHOSEN)
		die(backend, -5);
	open_tun(&cfg, argv[1]);
	open_udp(&cfg, dest.to.udp_port);
	session_init(argv[4][0] == 'a');
	int err = dp_plane_create(&cfg, &pl);

	if (err)
		die("plane", err);
	struct dp_peer *p = dp_peer_add(pl, 0);

	unsigned later = env_number("INNER_MTU_AT");

	set_path(pl, p, &dest, later ? 0 : env_number("INNER_MTU"));
	dp_plane_publish_lpm(pl, lpm_of(argv[3]));
	set_own(pl);
	dp_session_publish(pl, &session);
	dp_peer_set_session(pl, p, &session);
	err = dp_plane_start(pl);
	if (err)
		die("start", err);
	if (later) {
		nanosleep(&(struct timespec){later, 0}, NULL);
		set_path(pl, p, &dest, env_number("INNER_MTU"));
	}
	nanosleep(&(struct timespec){atoi(argv[5]) - (int)later, 0}, NULL);
	report(pl, argv[1]);
	/* the process ends here: descriptors and threads go with it */
	return 0;
}
