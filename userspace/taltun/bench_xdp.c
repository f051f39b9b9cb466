/* SPDX-License-Identifier: MIT
 *
 * bench xdp: packets per second that AF_XDP sends from an interface, and that it receives at the
 * other end of a wire whose two ends are both here. No encryption, no TUN: the ceiling.
 */
#include <stdlib.h>
#include <string.h>

#include "plat/clock.h"
#include "plat/netns.h"
#include "plat/thread.h"
#include "plat/wait.h"
#include "taltun/bench.h"
#include "taltun/bench_wire.h"

#define RX_IDLE_NS (5 * TT_NS_PER_MS)
#define SETTLE_NS  (20 * TT_NS_PER_MS) /* sent before each figure, and not counted */

static const unsigned sizes[] = {64, 1420};

struct choice {
	const char *interface, *peer;
	unsigned ms;
	bool json;
};

/* The receiving end: a thread, because it may have to be in another namespace. */
struct receiver {
	struct bench_wire end;
	const char *netns; /* NULL: this one */
	const char *interface;
	enum plat_xsk_mode mode;
	struct plat_thread thread;
	_Atomic int state; /* 1: opening; 0: receives; -errno: could not, and has ended */
	_Atomic bool stop;
};

/* --- receiving -------------------------------------------------------------------------------- */

static int receiver_open(struct receiver *r, struct plat_waiter *w)
{
	int err = r->netns ? plat_netns_enter(r->netns) : 0;

	if (err) {
		snprintf(r->end.why, sizeof(r->end.why), "namespace %s: %s", r->netns,
			 strerror(-err));
		return err;
	}
	err = bench_wire_find(&r->end, r->interface);
	if (!err)
		err = bench_wire_open_receive(&r->end, r->mode);
	if (err)
		return err;
	err = plat_waiter_open(w);
	if (!err)
		plat_waiter_set(w, 0, plat_xsk_fd(r->end.xsk));
	return err;
}

static void receiver_run(void *arg)
{
	struct receiver *r = arg;
	struct plat_waiter w;
	int err = receiver_open(r, &w);

	atomic_store(&r->state, err);
	if (!err) {
		while (!atomic_load_explicit(&r->stop, memory_order_relaxed))
			if (!bench_wire_receive(&r->end))
				plat_waiter_wait(&w, RX_IDLE_NS);
		plat_waiter_close(&w);
	}
	bench_wire_close(&r->end);
}

static int receiver_start(struct receiver *r)
{
	int state;

	atomic_store(&r->state, 1);
	atomic_store(&r->stop, false);
	int err = plat_thread_start(&r->thread, "bench-rx", receiver_run, r);

	if (err)
		return err;
	while ((state = atomic_load(&r->state)) == 1)
		plat_thread_yield();
	if (state)
		plat_thread_join(&r->thread);
	return state;
}

static void receiver_stop(struct receiver *r)
{
	atomic_store(&r->stop, true);
	plat_thread_join(&r->thread);
}

/* --- one row ---------------------------------------------------------------------------------- */

struct rates {
	double tx_pps, rx_pps; /* rx < 0: nobody receives */
};

static int measure(struct bench_wire *tx, struct receiver *r, unsigned bytes, unsigned ms,
		   struct rates *out)
{
	uint64_t ns = SETTLE_NS, sent;
	int err;

	bench_wire_fill(tx, r ? r->end.facts.mac : tx->facts.mac, bytes);
	err = bench_wire_send(tx, bytes, &ns, &sent);
	if (err)
		return err;
	uint64_t before = r ? atomic_load(&r->end.received) : 0;

	ns = ms * TT_NS_PER_MS;
	err = bench_wire_send(tx, bytes, &ns, &sent);
	out->tx_pps = (double)sent * 1e9 / (double)ns;
	out->rx_pps = r ? (double)(atomic_load(&r->end.received) - before) * 1e9 / (double)ns : -1;
	return err;
}

static const char *mode_name(enum plat_xsk_mode mode, const struct receiver *r)
{
	if (mode == PLAT_XSK_ZERO_COPY)
		return "zero-copy";
	return r && r->end.steering == PLAT_XDP_MODE_GENERIC ? "generic" : "native copy";
}

static json_t *row_of(const char *mode, unsigned bytes, const struct rates *k)
{
	double bits = 8.0 * bytes / 1e9;
	json_t *row = json_pack("{s:s,s:i,s:f,s:f}", "mode", mode, "bytes", (int)bytes, "tx_pps",
				k->tx_pps, "tx_gbps", k->tx_pps * bits);

	if (k->rx_pps >= 0) {
		json_object_set_new(row, "rx_pps", json_real(k->rx_pps));
		json_object_set_new(row, "rx_gbps", json_real(k->rx_pps * bits));
	}
	return row;
}

static void print_row(const char *mode, unsigned bytes, const struct rates *k)
{
	double bits = 8.0 * bytes / 1e9;

	printf("%-12s %6u %12.0f %8.2f", mode, bytes, k->tx_pps, k->tx_pps * bits);
	if (k->rx_pps >= 0)
		printf(" %12.0f %8.2f", k->rx_pps, k->rx_pps * bits);
	putchar('\n');
	fflush(stdout);
}

static int measure_sizes(const struct choice *ch, struct bench_wire *tx, struct receiver *r,
			 json_t *rows)
{
	const char *mode = mode_name(tx->mode, r);
	struct rates k;

	for (size_t i = 0; i < TT_ARRAY_LEN(sizes); i++) {
		if (sizes[i] + BENCH_WIRE_OVERHEAD - 14 > tx->facts.mtu) {
			fprintf(stderr, "taltun: %u bytes do not fit an MTU of %u\n", sizes[i],
				tx->facts.mtu);
			continue;
		}
		if (measure(tx, r, sizes[i], ch->ms, &k))
			return cli_fail(CLI_FAILED, "%s", tx->why);
		json_array_append_new(rows, row_of(mode, sizes[i], &k));
		if (!ch->json && json_array_size(rows) == 1)
			printf("%-12s %6s %12s %8s%s\n", "MODE", "BYTES", "TX pps", "Gb/s",
			       r ? "       RX pps     Gb/s" : "");
		if (!ch->json)
			print_row(mode, sizes[i], &k);
	}
	return CLI_OK;
}

/* --- one mode --------------------------------------------------------------------------------- */

static int measure_mode(const struct choice *ch, enum plat_xsk_mode mode, struct receiver *r,
			json_t *rows)
{
	struct bench_wire tx = {0};
	int status = CLI_OK;

	if (r) {
		r->mode = mode;
		int err = receiver_start(r);

		if (err)
			return cli_fail(CLI_FAILED, "%s",
					r->end.why[0] ? r->end.why : strerror(-err));
	}
	if (bench_wire_find(&tx, ch->interface) || bench_wire_open_send(&tx, mode))
		status = cli_fail(CLI_FAILED, "%s", tx.why);
	else
		status = measure_sizes(ch, &tx, r, rows);
	bench_wire_close(&tx);
	if (r)
		receiver_stop(r);
	return status;
}

/* "IF" or "NETNS:IF"; text stays where it is. */
static void take_peer(struct receiver *r, char *text)
{
	char *colon = strchr(text, ':');

	*r = (struct receiver){.interface = text};
	if (!colon)
		return;
	*colon = 0;
	r->netns = text;
	r->interface = colon + 1;
}

static int measure_modes(const struct choice *ch, json_t *rows)
{
	struct bench_wire probe = {0};
	struct receiver peer;
	char *text = strdup(ch->peer ? ch->peer : "");
	int status;

	if (!text)
		return cli_fail(CLI_FAILED, "out of memory");
	take_peer(&peer, text);
	struct receiver *r = ch->peer ? &peer : NULL;

	if (bench_wire_find(&probe, ch->interface))
		status = cli_fail(CLI_FAILED, "%s", probe.why);
	else
		status = measure_mode(ch, PLAT_XSK_COPY, r, rows);
	if (status == CLI_OK && probe.facts.zero_copy_listed)
		status = measure_mode(ch, PLAT_XSK_ZERO_COPY, r, rows);
	free(text);
	return status;
}

/* --- the command ------------------------------------------------------------------------------ */

int bench_xdp(int argc, char **argv)
{
	struct choice ch = {.ms = 500};

	ch.json = cli_take_flag(&argc, argv, "--json");
	if (!bench_take_text(&argc, argv, "--peer", &ch.peer) ||
	    !bench_take_number(&argc, argv, "--ms", 1, 60000, &ch.ms))
		return CLI_USAGE;
	if (argc != 2)
		return cli_usage("bench", "xdp takes one network interface");
	ch.interface = argv[1];
	json_t *rows = json_array();
	int status = measure_modes(&ch, rows);
	int done = bench_finish(json_pack("{s:s,s:o}", "interface", ch.interface, "rows", rows),
				ch.json && status == CLI_OK);

	return status ? status : done;
}
