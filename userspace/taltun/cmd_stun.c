/* SPDX-License-Identifier: MIT
 *
 * stun: asks a STUN server what our address looks like from there.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/stun_client.h"
#include "plat/clock.h"
#include "plat/udp_io.h"
#include "taltun/cli.h"

/* Somebody waits at the terminal: five questions, and an end after 9.5 s. */
static const struct mesh_stun_timing timing = {.rto_ms = 500, .rc = 5, .rm = 4};

struct stun_ask {
	enum tt_family family; /* NONE: either */
	uint16_t udp_port;     /* ours; 0: any */
	bool json;
	char host[256];
	char service[8]; /* the server's udp_port */
};

struct stun_run {
	struct mesh_stun_client client;
	struct tt_endpoint local; /* where the answer came to */
	int fd;
	int send_error; /* -errno */
};

/* --- arguments ------------------------------------------------------------------------------ */

static bool udp_port_of(const char *text, uint16_t *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || v == 0 || v > UINT16_MAX)
		return false;
	*out = (uint16_t)v;
	return true;
}

/* "host", "host:port", "v6", "[v6]" or "[v6]:port"; false where it is none of them. */
static bool parse_server(const char *text, struct stun_ask *ask)
{
	const char *colon = strrchr(text, ':'), *host = text;
	uint16_t udp_port = MESH_STUN_UDP_PORT;
	size_t len = strlen(text);
	struct tt_ip ip;

	if (colon && text[len - 1] != ']' && tt_ip_parse(text, &ip) != 0) {
		if (!udp_port_of(colon + 1, &udp_port))
			return false;
		len = (size_t)(colon - text);
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(ask->host))
		return false;
	memcpy(ask->host, host, len);
	ask->host[len] = '\0';
	snprintf(ask->service, sizeof(ask->service), "%u", udp_port);
	return true;
}

/* Takes "--port N" out of argv. False where N is none. */
static bool take_udp_port(int *argc, char **argv, uint16_t *udp_port)
{
	for (int i = 1; i + 1 < *argc; i++) {
		if (strcmp(argv[i], "--port") != 0)
			continue;
		if (!udp_port_of(argv[i + 1], udp_port))
			return false;
		memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
		*argc -= 2;
		return true;
	}
	return true;
}

static int parse(int argc, char **argv, struct stun_ask *ask)
{
	ask->json = cli_take_flag(&argc, argv, "--json");
	if (cli_take_flag(&argc, argv, "-4"))
		ask->family = TT_FAMILY_V4;
	if (cli_take_flag(&argc, argv, "-6"))
		ask->family = TT_FAMILY_V6;
	if (!take_udp_port(&argc, argv, &ask->udp_port))
		return cli_usage(argv[0], "--port wants a UDP port");
	if (argc != 2 || argv[1][0] == '-')
		return cli_usage(argv[0], "expected one server");
	if (!parse_server(argv[1], ask))
		return cli_usage(argv[0], "\"%s\" is not HOST or HOST:PORT", argv[1]);
	return CLI_OK;
}

/* --- one server ------------------------------------------------------------------------------ */

static struct tt_endpoint endpoint_of(const struct sockaddr *sa)
{
	struct tt_endpoint e = {0};

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		e.ip = tt_ip_v4((const uint8_t *)&in->sin_addr);
		e.udp_port = ntohs(in->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		e.ip = tt_ip_v6((const uint8_t *)&in6->sin6_addr);
		e.udp_port = ntohs(in6->sin6_port);
	}
	return e;
}

static void send_due(struct stun_run *run)
{
	struct plat_udp_dest dest = {.to = run->client.server};
	uint8_t out[MESH_STUN_REQUEST_MAX];
	bool lost;

	size_t len = mesh_stun_client_tick(&run->client, out, sizeof(out), plat_clock_mono());
	if (len == 0)
		return;
	struct plat_udp_tx tx = {
		.buf = out, .len = (uint32_t)len, .segment = (uint32_t)len, .dest = &dest};
	plat_udp_dest_prepare(&dest);
	plat_udp_send(run->fd, &tx, 1, &lost);
	run->send_error = tx.error;
}

static void receive_one(struct stun_run *run)
{
	uint8_t buf[2048];
	struct plat_udp_rx rx = {.buf = buf, .cap = sizeof(buf)};

	if (plat_udp_recv(run->fd, &rx, 1) != 1)
		return;
	if (mesh_stun_client_receive(&run->client, &rx.src, buf, rx.len, plat_clock_mono()) ==
	    TT_DROP_NONE)
		run->local.ip = rx.dst;
}

/* Runs the transaction to its end, or to a send that fails at once: there is no way there. */
static void ask_one(struct stun_run *run)
{
	struct mesh_stun_client *c = &run->client;

	while (c->state == MESH_STUN_CLIENT_WAITING && run->send_error == 0) {
		send_due(run);
		uint64_t wait_ns = tt_mono_since(mesh_stun_client_deadline(c), plat_clock_mono());
		struct pollfd p = {.fd = run->fd, .events = POLLIN};
		if (c->state == MESH_STUN_CLIENT_WAITING && run->send_error == 0 &&
		    poll(&p, 1, (int)(wait_ns / TT_NS_PER_MS) + 1) > 0)
			receive_one(run);
	}
}

/* False, with run->client or send_error saying why, where this address gave no result. */
static bool try_address(struct stun_run *run, const struct stun_ask *ask,
			const struct tt_endpoint *server)
{
	struct plat_udp_options opt = {.family = (enum tt_family)server->ip.family,
				       .udp_port = ask->udp_port,
				       .buffer_bytes = 65536};
	static const struct mesh_stun_self nobody;
	struct tt_rng rng = plat_rng();
	struct mesh_stun_id id;

	memset(run, 0, sizeof(*run));
	tt_rng_fill(&rng, id.b, sizeof(id.b));
	if (!mesh_stun_client_start(&run->client, server, &nobody, &id, &timing, plat_clock_mono()))
		return false;
	run->fd = plat_udp_open(&opt, &run->local.udp_port);
	if (run->fd < 0) {
		run->send_error = run->fd;
		return false;
	}
	ask_one(run);
	close(run->fd);
	return run->client.state == MESH_STUN_CLIENT_DONE;
}

/* --- output ---------------------------------------------------------------------------------- */

static int print(const struct stun_run *run, bool json)
{
	char reflexive[TT_ENDPOINT_TEXT_MAX], server[TT_ENDPOINT_TEXT_MAX],
		local[TT_ENDPOINT_TEXT_MAX];
	const struct mesh_stun_client *c = &run->client;

	tt_endpoint_format(&c->reflexive, reflexive);
	if (!json) {
		puts(reflexive);
		return CLI_OK;
	}
	json_t *out =
		json_pack("{s:s,s:s,s:s,s:b}", "server", tt_endpoint_format(&c->server, server),
			  "reflexive", reflexive, "local", tt_endpoint_format(&run->local, local),
			  "nat", !tt_endpoint_equal(&c->reflexive, &run->local));
	if (c->rtt_ns)
		json_object_set_new(out, "rtt_ms",
				    json_real((double)(c->rtt_ns / TT_NS_PER_US) / 1000.0));
	json_dumpf(out, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(out);
	return CLI_OK;
}

static int failed(const struct stun_run *run)
{
	char server[TT_ENDPOINT_TEXT_MAX];
	const struct mesh_stun_client *c = &run->client;

	tt_endpoint_format(&c->server, server);
	if (run->send_error)
		return cli_fail(CLI_FAILED, "%s: %s", server, strerror(-run->send_error));
	if (c->failure == MESH_STUN_FAILURE_REFUSED)
		return cli_fail(CLI_FAILED, "%s: %s (error %u)", server,
				mesh_stun_failure_text(c->failure), c->error_code);
	return cli_fail(CLI_FAILED, "%s: %s%s", server, mesh_stun_failure_text(c->failure),
			c->failure == MESH_STUN_FAILURE_TIMEOUT
				? "; it is no STUN server, or UDP to it or back is blocked"
				: "");
}

/* An address that cannot be sent to makes room for the next; a server that is silent does not. */
static int stun(int argc, char **argv)
{
	struct addrinfo *list, hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
	struct stun_ask ask = {0};
	struct stun_run run = {0};
	bool done = false;

	int status = parse(argc, argv, &ask);
	if (status != CLI_OK)
		return status;
	if (ask.family != TT_FAMILY_NONE)
		hints.ai_family = ask.family == TT_FAMILY_V4 ? AF_INET : AF_INET6;
	int eai = getaddrinfo(ask.host, ask.service, &hints, &list);
	if (eai != 0)
		return cli_fail(CLI_FAILED, "%s: %s", ask.host, gai_strerror(eai));
	for (const struct addrinfo *a = list; a && !done; a = a->ai_next) {
		struct tt_endpoint server = endpoint_of(a->ai_addr);

		if (try_address(&run, &ask, &server))
			done = true;
		else if (run.send_error == 0 && run.client.failure != MESH_STUN_FAILURE_SERVER)
			break;
	}
	freeaddrinfo(list);
	return done ? print(&run, ask.json) : failed(&run);
}

const struct cli_command cli_commands_stun[] = {
	{"stun", "[-4|-6] [--port UDP_PORT] SERVER[:UDP_PORT] [--json]",
	 "Ask a STUN server which address it sees us at.",
	 "Prints the reflexive address: what others see of a packet that leaves here, behind\n"
	 "whatever NATs there are. --port is our own UDP port, by default any that is free;\n"
	 "the server's is 3478. Gives up after 9.5 seconds without an answer.",
	 stun},
	{NULL, NULL, NULL, NULL, NULL},
};
