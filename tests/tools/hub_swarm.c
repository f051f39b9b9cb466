/* SPDX-License-Identifier: MIT
 *
 * A hub and thousands of its nodes, with real TLS over loopback, every node from an address of its
 * own (127.1.0.0/16): how long joining takes, and what a connection costs the hub.
 *
 *	hub_swarm --hub PROGRAM --dir DIRECTORY --port PORT [--nodes N] [--gateways N]
 *		[--netmaps N] [--joins N] [--gateway-joins N] [--idle SECONDS]
 *
 * The directory must not have a hub yet. The nodes are written into its database, and their
 * certificates are signed with its CA; all of them use one private key. They come back after a
 * loss as the node does (node/hub_link_dial.c). Prints one JSON object; exits 1 where a map was
 *wrong or somebody was not served.
 */
#include <getopt.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "hub_swarm_figures.h"
#include "hub_swarm_hub.h"
#include "hub_swarm_map.h"
#include "hub_swarm_sight.h"

enum {
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 60000,
	STEP_MS = 10000,
	PING_MS = 15000,
	CONTROL_BYTES = 256 * 1024,
	PATIENCE_MS = 120000, /* for anything */
};

static uint8_t arena_memory[MESH_HUB_ARENA_MAP];
static struct tt_rng_seeded rng_state;
static struct tt_rng rng;
static void on_timer(uv_timer_t *t);

/* --- messages --------------------------------------------------------------------------------- */

static void send_message(struct swarm_node *n, const Taltun__Hub__V1__ToHub *m)
{
	uint8_t frame[MESH_FRAME_HEADER + 512];
	size_t len;

	if (mesh_hub_to_hub_pack(m, frame, sizeof(frame), &len) != MESH_HUB_OK)
		swarm_die("a message does not pack");
	wire_stream_send(&n->stream, frame, len);
}

static void send_ping(struct swarm_node *n)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Ping ping = TALTUN__HUB__V1__PING__INIT;

	ping.token = n->number;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_PING;
	m.ping = &ping;
	send_message(n, &m);
}

/* The answer to the Ping behind it says that the hub has sent all that it has to. */
static void send_hello(struct swarm_node *n)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Hello hello = TALTUN__HUB__V1__HELLO__INIT;

	hello.version = mesh_hub_text("swarm");
	hello.os = mesh_hub_text("none");
	hello.udp_port = 51820;
	hello.map_epoch = n->epoch;
	hello.map_version = n->version;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_HELLO;
	m.hello = &hello;
	send_message(n, &m);
	send_ping(n);
}

static void enter(struct swarm_node *n, enum swarm_state state, uint64_t ms)
{
	if (n->state == SWARM_SERVED && state != SWARM_SERVED)
		swarm.served--;
	if (n->state != SWARM_SERVED && state == SWARM_SERVED) {
		swarm.served++;
		n->served_ns = uv_hrtime();
	}
	n->state = state;
	/* a turn of the loop may be long where thousands of nodes share it */
	uv_update_time(&swarm.loop);
	if (ms)
		uv_timer_start(&n->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&n->timer);
}

static void maybe_served(struct swarm_node *n)
{
	if (n->state != SWARM_GREETING || !n->answered || n->chain)
		return;
	n->pause_ms = RETRY_MIN_MS;
	/* pings of many nodes are spread */
	enter(n, SWARM_SERVED, PING_MS / 2 + tt_rng_below(&rng, PING_MS));
}

static void take_map(struct swarm_node *n, const Taltun__Hub__V1__MapUpdate *u)
{
	if (!u->from_version && !n->chain)
		swarm_sight_forget(n);
	else if (u->from_version && (u->epoch != n->epoch || u->from_version != n->version))
		swarm.bad_messages++;
	for (size_t i = 0; i < u->n_removed_ids; i++)
		swarm_sight_sees(n, u->removed_ids[i] - 1, false);
	for (size_t i = 0; i < u->n_peers; i++)
		swarm_sight_sees(n, u->peers[i]->node_id - 1, u->peers[i]->online);
	n->chain = u->more;
	if (!u->more) {
		n->epoch = u->epoch;
		n->version = u->version;
	}
	maybe_served(n);
}

/* Where a hub restarts, all of it is about to be gone: from 0 to 100 % later than it says. */
static void wait_for_restart(struct swarm_node *n, const Taltun__Hub__V1__Restarting *r)
{
	uint32_t in = TT_MAX(r->reconnect_in_ms, 100u);

	wire_stream_abort(&n->stream);
	swarm_maps_lost(n);
	enter(n, SWARM_WAITING, in + tt_rng_below(&rng, in + 1));
}

static void on_frame(void *ctx, const struct mesh_frame *f)
{
	struct swarm_node *n = ctx;
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena arena;

	mesh_hub_arena_init(&arena, arena_memory, sizeof(arena_memory));
	if (f->kind != MESH_FRAME_CONTROL ||
	    mesh_hub_to_node_unpack(&arena, f->body, f->len, &m) != MESH_HUB_OK) {
		swarm.bad_messages++;
		return;
	}
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME:
		if (m->welcome->node_id != n->number + 1)
			swarm.bad_messages++;
		swarm_maps_take(n, f);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE:
		swarm_maps_take(n, f);
		take_map(n, m->map_update);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_PONG:
		n->answered = true;
		maybe_served(n);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RESTARTING:
		wait_for_restart(n, m->restarting);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR:
		swarm.hub_errors++;
		break;
	default:
		swarm.bad_messages++;
		break;
	}
}

/* --- connections ------------------------------------------------------------------------------ */

static void lost(struct swarm_node *n)
{
	if (n->state == SWARM_AWAY || n->state == SWARM_WAITING)
		return;
	swarm.lost += n->state == SWARM_SERVED;
	if (n->stream_used)
		wire_stream_abort(&n->stream);
	swarm_maps_lost(n);
	enter(n, SWARM_WAITING,
	      n->pause_ms - n->pause_ms / 8 + tt_rng_below(&rng, n->pause_ms / 4 + 1));
	n->pause_ms = TT_MIN(n->pause_ms * 2, (uint32_t)RETRY_MAX_MS);
}

static void on_opened(void *ctx)
{
	struct swarm_node *n = ctx;

	enter(n, SWARM_GREETING, STEP_MS);
	send_hello(n);
}

static void on_drained(void *ctx)
{
	(void)ctx;
}

static void on_ended(void *ctx, enum wire_end why)
{
	(void)why;
	lost(ctx);
}

static void on_closed(void *ctx)
{
	struct swarm_node *n = ctx;

	n->stream_used = false;
}

static const struct wire_handlers handlers = {.opened = on_opened,
					      .frame = on_frame,
					      .drained = on_drained,
					      .ended = on_ended,
					      .closed = on_closed};

static void on_connected(uv_connect_t *req, int status)
{
	struct swarm_node *n = req->data;
	struct tls_session *tls;

	if (n->state != SWARM_CONNECTING || status == UV_ECANCELED)
		return;
	if (status < 0 || tls_session_create(n->tls, "127.0.0.1", &tls) != 0) {
		lost(n);
		return;
	}
	enter(n, SWARM_SECURING, STEP_MS);
	wire_stream_start(&n->stream, tls);
}

/* From 127.1.0.0/16, where every node has its own address. */
static int open_socket(const struct swarm_node *n)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f010000 + n->number + 1)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		swarm_die("cannot open a socket");
	return fd;
}

static void attempt(struct swarm_node *n)
{
	struct wire_stream_options opt = {.loop = swarm.wire,
					  .on = &handlers,
					  .ctx = n,
					  .control_bytes = CONTROL_BYTES,
					  .data_packets = 1,
					  .control_frame_max = MESH_FRAME_CONTROL_MAX,
					  .relay_frame_max = MESH_FRAME_RELAY_MAX};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(swarm.tcp_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (n->stream_used) { /* the last one is not closed yet */
		enter(n, SWARM_WAITING, 1);
		return;
	}
	n->attempts++;
	n->chain = n->answered = false;
	n->began_ns = uv_hrtime();
	enter(n, SWARM_CONNECTING, STEP_MS);
	wire_stream_init(&n->stream, &opt);
	n->stream_used = true;
	n->connect.data = n;
	if (uv_tcp_open(&n->stream.tcp, open_socket(n)) != 0 ||
	    uv_tcp_connect(&n->connect, &n->stream.tcp, (struct sockaddr *)&to, on_connected) != 0)
		lost(n);
}

static void on_timer(uv_timer_t *t)
{
	struct swarm_node *n = t->data;

	switch (n->state) {
	case SWARM_AWAY:
		break;
	case SWARM_WAITING:
		attempt(n);
		break;
	case SWARM_SERVED:
		send_ping(n);
		uv_timer_start(t, on_timer, PING_MS, 0);
		break;
	default:
		lost(n);
		break;
	}
}

/* Without a map: as after enrolment. */
static void come(struct swarm_node *n, bool without_map)
{
	if (without_map) {
		swarm_sight_forget(n);
		n->epoch = n->version = 0;
	}
	n->pause_ms = RETRY_MIN_MS;
	n->attempts = 0;
	n->joined_ns = 0;
	attempt(n);
}

static void leave(struct swarm_node *n)
{
	enter(n, SWARM_AWAY, 0);
	if (n->stream_used)
		wire_stream_abort(&n->stream);
	swarm_maps_lost(n);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void on_beat(uv_timer_t *t)
{
	(void)t; /* run_until() looks again */
}

/* False: it did not become true in time. */
static bool run_until(bool (*done)(void *ctx), void *ctx, uint64_t ms)
{
	uint64_t began = uv_hrtime();

	while (!done(ctx)) {
		if (uv_hrtime() - began > ms * TT_NS_PER_MS)
			return false;
		uv_run(&swarm.loop, UV_RUN_ONCE);
	}
	return true;
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static void run_for(uint64_t ms)
{
	run_until(never, NULL, ms);
}

static bool all_served(void *ctx)
{
	(void)ctx;
	return swarm.served == swarm.nodes;
}

static bool hub_gone(void *ctx)
{
	(void)ctx;
	return swarm_hub_is_gone();
}

/* Every gateway has all others online, every client all gateways. */
static bool maps_right(void *ctx)
{
	(void)ctx;
	for (uint32_t i = 0; i < swarm.nodes; i++) {
		const struct swarm_node *n = &swarm.node[i];
		uint64_t self = swarm_is_gateway(n) ? UINT64_C(1) << i : 0;

		if ((n->seen_by | self) != swarm_all_gateways() ||
		    (!swarm_is_gateway(n) && n->has != swarm_all_gateways()))
			return false;
	}
	return true;
}

static bool seen_by_nobody(void *ctx)
{
	const struct swarm_node *n = ctx;

	return n->seen_by == 0 &&
	       (!swarm_is_gateway(n) || (n->number < swarm.gateways && !swarm.have[n->number]));
}

static bool has_joined(void *ctx)
{
	return ((struct swarm_node *)ctx)->joined_ns != 0;
}

static bool had_by_all(void *ctx)
{
	return swarm.have[((struct swarm_node *)ctx)->number] == swarm.nodes - swarm.gateways;
}

/* --- what is measured ------------------------------------------------------------------------- */

/* Everybody is on the way: until all are served. since: when they lost the hub, or began. */
static void measure_return(const char *name, uint64_t since, uint64_t cpu_before)
{
	uint64_t attempts = 0, last = since;

	if (!run_until(all_served, NULL, PATIENCE_MS))
		fail("not everybody was served");
	for (uint32_t i = 0; i < swarm.nodes; i++) {
		const struct swarm_node *n = &swarm.node[i];

		attempts += n->attempts;
		last = TT_MAX(last, n->served_ns);
		if (n->state == SWARM_SERVED)
			figures[figure_count++] = (double)(n->served_ns - since);
	}
	print_figures(name);
	print_scalar(name, "attempts", (double)attempts);
	print_scalar(name, "hub_cpu_s", (double)(swarm_hub_cpu_ns() - cpu_before) / 1e9);
	if (!run_until(maps_right, NULL, PATIENCE_MS))
		fail("maps are not right");
	print_scalar(name, "maps_right_ms", (double)(uv_hrtime() - since) / 1e6);
}

static void measure_cold(void)
{
	uint64_t began = uv_hrtime();

	for (uint32_t i = 0; i < swarm.nodes; i++)
		come(&swarm.node[i], true);
	measure_return("first", began, swarm_hub_cpu_ns());
}

static void print_memory(const char *name, uint64_t empty)
{
	uint64_t rss = swarm_hub_memory("VmRSS");

	print_scalar(name, "rss_mib", (double)rss / 1048576);
	print_scalar(name, "bytes_per_node", (double)(rss - empty) / swarm.nodes);
}

static void measure_idle(void)
{
	uint64_t cpu = swarm_hub_cpu_ns(), began = uv_hrtime();

	if (!swarm.idle_s)
		return;
	run_for(swarm.idle_s * UINT64_C(1000));
	print_number("idle_cpu_percent",
		     (double)(swarm_hub_cpu_ns() - cpu) * 100 / (double)(uv_hrtime() - began));
}

/* One client after the other goes and comes back, with a map that begins anew. */
static void measure_joins(void)
{
	uint32_t clients = swarm.nodes - swarm.gateways;
	uint64_t cpu = 0;

	for (uint32_t i = 0; i < swarm.joins; i++) {
		struct swarm_node *n = &swarm.node[swarm.gateways + i * 7919 % clients];

		leave(n);
		if (!run_until(seen_by_nobody, n, PATIENCE_MS)) {
			fail("a client that has gone is still online somewhere");
			return;
		}
		run_for(10 + tt_rng_below(&rng, 20));
		uint64_t before = swarm_hub_cpu_ns();
		come(n, true);
		if (!run_until(has_joined, n, PATIENCE_MS)) {
			fail("a client did not join");
			return;
		}
		figures[figure_count++] = (double)(n->joined_ns - n->began_ns);
		cpu += swarm_hub_cpu_ns() - before;
	}
	print_figures("join");
	print_scalar("join", "hub_cpu_ms", (double)cpu / 1e6 / TT_MAX(swarm.joins, 1u));
}

static void measure_gateway_joins(void)
{
	uint64_t cpu = 0;

	for (uint32_t i = 0; i < swarm.gateway_joins; i++) {
		struct swarm_node *g = &swarm.node[i % swarm.gateways];

		leave(g);
		if (!run_until(seen_by_nobody, g, PATIENCE_MS)) {
			fail("a gateway that has gone is still online somewhere");
			return;
		}
		run_for(100);
		uint64_t before = swarm_hub_cpu_ns();
		come(g, false);
		if (!run_until(had_by_all, g, PATIENCE_MS)) {
			fail("a gateway did not reach everybody");
			return;
		}
		figures[figure_count++] = (double)(uv_hrtime() - g->began_ns);
		cpu += swarm_hub_cpu_ns() - before;
	}
	print_figures("gateway_join");
	print_scalar("gateway_join", "hub_cpu_ms",
		     (double)cpu / 1e6 / TT_MAX(swarm.gateway_joins, 1u));
}

static void measure_restart(const char *name, int sig)
{
	uint64_t began = uv_hrtime(), lost_before = swarm.lost;

	for (uint32_t i = 0; i < swarm.nodes; i++)
		swarm.node[i].attempts = 0;
	kill(swarm.pid, sig);
	if (!run_until(hub_gone, NULL, PATIENCE_MS))
		swarm_die("the hub does not end");
	print_scalar(name, "hub_gone_ms", (double)(uv_hrtime() - began) / 1e6);
	swarm_hub_start();
	/* whoever has not heard of it yet does not count as served */
	run_for(200);
	measure_return(name, began, 0);
	swarm.lost = lost_before;
}

static void measure_all(void)
{
	run_for(1000);
	uint64_t empty = swarm_hub_memory("VmRSS");

	print_scalar("empty", "rss_mib", (double)empty / 1048576);
	measure_cold();
	run_for(6000); /* the hub tidies up when nobody has come for a while */
	print_memory("first", empty);
	measure_idle();
	if (!failed)
		measure_joins();
	if (!failed)
		measure_gateway_joins();
	if (!failed)
		measure_restart("restart", SIGTERM);
	if (!failed)
		measure_restart("killed", SIGKILL);
	run_for(6000);
	print_memory("last", empty);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_faults(void)
{
	uint32_t wrong = swarm_maps_check();

	print_number("wrong_netmaps", wrong);
	print_number("netmap_apply_us",
		     maps.applied ? (double)maps.ns / 1e3 / (double)maps.applied : 0);
	print_number("netmaps_refused", (double)swarm.bad_maps);
	print_number("clients_seen_by_clients", (double)swarm.leaks);
	print_number("bad_messages", (double)swarm.bad_messages);
	print_number("errors", (double)swarm.hub_errors);
	print_number("lost", (double)swarm.lost);
	print_number("unserved", swarm.nodes - swarm.served);
	printf("\n}\n");
	failed = failed || wrong || swarm.bad_maps || swarm.leaks || swarm.bad_messages ||
		 swarm.lost || swarm.served != swarm.nodes;
}

static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v < min || v > max)
		swarm_die("a number is out of its range");
	return (uint32_t)v;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"hub", 1, NULL, 'h'},	    {"dir", 1, NULL, 'd'},
		{"port", 1, NULL, 'p'},	    {"nodes", 1, NULL, 'n'},
		{"gateways", 1, NULL, 'g'}, {"netmaps", 1, NULL, 'm'},
		{"joins", 1, NULL, 'j'},    {"gateway-joins", 1, NULL, 'k'},
		{"idle", 1, NULL, 'i'},	    {0}};
	int c;

	swarm = (struct swarm){
		.nodes = 200, .gateways = 10, .netmaps = 1, .joins = 20, .gateway_joins = 2};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			swarm.hub = optarg;
			break;
		case 'd':
			swarm.dir = optarg;
			break;
		case 'p':
			swarm.tcp_port = (uint16_t)number(optarg, 1, 65535);
			break;
		case 'n':
			swarm.nodes = number(optarg, 2, MESH_HUB_PEERS_MAX);
			break;
		case 'g':
			swarm.gateways = number(optarg, 1, SWARM_GATEWAYS_MAX);
			break;
		case 'm':
			swarm.netmaps = number(optarg, 1, SWARM_GATEWAYS_MAX);
			break;
		case 'j':
			swarm.joins = number(optarg, 0, 1000000);
			break;
		case 'k':
			swarm.gateway_joins = number(optarg, 0, 1000);
			break;
		case 'i':
			swarm.idle_s = number(optarg, 0, 3600);
			break;
		default:
			swarm_die("see the beginning of hub_swarm.c for the options");
		}
	}
	if (!swarm.hub || !swarm.dir || !swarm.tcp_port || swarm.gateways >= swarm.nodes)
		swarm_die("--hub, --dir and --port are needed, and more nodes than gateways");
	swarm.netmaps = TT_MIN(swarm.netmaps, swarm.gateways);
}

static void raise_descriptors(void)
{
	struct rlimit l;

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_cur < swarm.nodes + 64)
		swarm_die("too few descriptors: raise the limit (ulimit -n)");
}

static void init_nodes(void)
{
	swarm.node = calloc(swarm.nodes, sizeof(*swarm.node));
	figures = calloc(TT_MAX(swarm.nodes, swarm.joins) + swarm.gateway_joins, sizeof(*figures));
	if (!swarm.node || !figures)
		swarm_die("no memory");
	for (uint32_t i = 0; i < swarm.nodes; i++) {
		swarm.node[i].number = i;
		swarm.node[i].timer.data = &swarm.node[i];
		uv_timer_init(&swarm.loop, &swarm.node[i].timer);
	}
}

int main(int argc, char **argv)
{
	uv_timer_t beat;

	parse(argc, argv);
	raise_descriptors();
	signal(SIGPIPE, SIG_IGN);
	rng = tt_rng_seeded_init(&rng_state, 1);
	uv_loop_init(&swarm.loop);
	if (wire_loop_open(&swarm.loop, 1 << 20, &swarm.wire) != 0)
		swarm_die("no memory");
	uv_timer_init(&swarm.loop, &beat);
	uv_timer_start(&beat, on_beat, 5, 5);
	init_nodes();
	swarm_hub_make();
	swarm_maps_start();
	swarm_hub_start();
	print_number("nodes", swarm.nodes);
	print_number("gateways", swarm.gateways);
	measure_all();
	print_faults();
	kill(swarm.pid, SIGTERM);
	for (int i = 0; i < 1000 && !swarm_hub_is_gone(); i++)
		usleep(10000);
	if (swarm.pid)
		kill(swarm.pid, SIGKILL);
	return failed;
}
