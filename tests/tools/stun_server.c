/* SPDX-License-Identifier: MIT
 *
 * A STUN server over both families, around mesh/stun_server.h.
 *
 *	stun_server UDP_PORT
 *
 * Says "ready" when it serves. Ends on SIGTERM and prints one JSON object: how many requests it
 * answered, and what it was silent about, by reason.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mesh/stun_server.h"
#include "plat/udp_io.h"

static volatile sig_atomic_t stopped;
static unsigned long long count[TT_DROP_COUNT]; /* TT_DROP_NONE: answered */

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static int open_one(enum tt_family family, uint16_t udp_port)
{
	struct plat_udp_options opt = {
		.family = family, .udp_port = udp_port, .buffer_bytes = 1 << 18};
	uint16_t bound;
	int fd = plat_udp_open(&opt, &bound);

	if (fd < 0)
		fprintf(stderr, "stun_server: %s\n", strerror(-fd));
	return fd;
}

/* The answer leaves by the address that was asked: a client takes it from nowhere else. */
static void serve_one(int fd, const struct plat_udp_rx *rx)
{
	uint8_t out[MESH_STUN_RESPONSE_MAX];
	struct plat_udp_dest dest = {.to = rx->src, .from = rx->dst};
	size_t len;
	bool lost;

	enum tt_drop drop = mesh_stun_serve(out, &len, rx->buf, rx->len, &rx->src);
	count[drop]++;
	if (drop != TT_DROP_NONE)
		return;
	struct plat_udp_tx tx = {
		.buf = out, .len = (uint32_t)len, .segment = (uint32_t)len, .dest = &dest};
	plat_udp_dest_prepare(&dest);
	plat_udp_send(fd, &tx, 1, &lost);
}

static void report(void)
{
	const char *comma = "";

	printf("{\"answered\":%llu,\"silent\":{", count[TT_DROP_NONE]);
	for (int i = 1; i < TT_DROP_COUNT; i++) {
		if (count[i] == 0)
			continue;
		printf("%s\"%s\":%llu", comma, tt_drop_name((enum tt_drop)i), count[i]);
		comma = ",";
	}
	printf("}}\n");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: stun_server UDP_PORT\n");
		return 2;
	}
	uint16_t udp_port = (uint16_t)atoi(argv[1]);
	struct pollfd p[2] = {{.fd = open_one(TT_FAMILY_V4, udp_port), .events = POLLIN},
			      {.fd = open_one(TT_FAMILY_V6, udp_port), .events = POLLIN}};
	if (p[0].fd < 0 || p[1].fd < 0)
		return 1;
	/* without SA_RESTART, so that the signal ends the wait */
	struct sigaction sa = {.sa_handler = stop};
	sigaction(SIGTERM, &sa, NULL);
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		poll(p, 2, 1000);
		for (int i = 0; i < 2; i++) {
			static uint8_t buf[65536];
			struct plat_udp_rx rx = {.buf = buf, .cap = sizeof(buf)};

			if ((p[i].revents & POLLIN) && plat_udp_recv(p[i].fd, &rx, 1) == 1)
				serve_one(p[i].fd, &rx);
		}
	}
	report();
	return 0;
}
