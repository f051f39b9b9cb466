/* SPDX-License-Identifier: MIT
 *
 * The configuration protocol without a socket: what wg(8) relies on.
 */
#include "node/uapi.h"

#include <errno.h>
#include <string.h>

#include "base/b64.h"
#include "node_sim.h"
#include "tt_test.h"

#define KEY_A "a8dc2c0b9c3f1d5e7f00112233445566778899aabbccddeeff0011223344556a"
#define KEY_B "b8dc2c0b9c3f1d5e7f00112233445566778899aabbccddeeff0011223344556b"
#define PRIV  "c8dc2c0b9c3f1d5e7f00112233445566778899aabbccddeeff0011223344556c"

static struct node_sim sim;
static char text[1 << 20];

static int set(const char *request)
{
	struct node_uapi_set s;
	char copy[4096];
	char *save = NULL;

	strncpy(copy, request, sizeof(copy) - 1);
	copy[sizeof(copy) - 1] = 0;
	node_uapi_set_begin(&s, sim.device);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		node_uapi_set_line(&s, l);
	return node_uapi_set_end(&s);
}

static const char *get(void)
{
	struct node_uapi_get g;
	size_t len = 0, n;

	node_uapi_get_begin(&g, sim.device);
	while ((n = node_uapi_get_piece(&g, text + len, NODE_UAPI_PIECE_MIN)) > 0)
		len += n;
	text[len] = 0;
	return text;
}

static bool has(const char *part)
{
	return strstr(get(), part) != NULL;
}

static void order_of_get(void)
{
	node_sim_open(&sim);
	CU_ASSERT_EQUAL(set("private_key=" PRIV "\nfwmark=7\npublic_key=" KEY_A
			    "\npreshared_key=" KEY_B "\nendpoint=[2001:db8::1]:9\n"
			    "persistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\n"
			    "allowed_ip=::/0\n"),
			0);
	/* clamped, as the kernel driver shows it */
	CU_ASSERT_STRING_EQUAL(
		get(),
		"private_key=c8dc2c0b9c3f1d5e7f00112233445566778899aabbccddeeff0011223344556c\n"
		"listen_port=51820\nfwmark=7\npublic_key=" KEY_A "\npreshared_key=" KEY_B
		"\nprotocol_version=1\nendpoint=[2001:db8::1]:9\n"
		"last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
		"tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=25\n"
		"allowed_ip=10.0.0.0/8\nallowed_ip=::/0\n");
	node_sim_close(&sim);
}

static void allowed_ips_move(void)
{
	node_sim_open(&sim);
	set("public_key=" KEY_A "\nallowed_ip=10.1.2.3/16\npublic_key=" KEY_B
	    "\nallowed_ip=10.1.0.0/16\n");
	CU_ASSERT(!has("public_key=" KEY_A
		       "\npreshared_key=0000000000000000000000000000000000000000"
		       "000000000000000000000000\nprotocol_version=1\n"
		       "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
		       "tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\nallowed_ip"));
	CU_ASSERT(has("allowed_ip=10.1.0.0/16\n"));
	CU_ASSERT_EQUAL(set("public_key=" KEY_B "\nallowed_ip=-10.1.0.0/16\n"), 0);
	CU_ASSERT(!has("allowed_ip="));
	set("public_key=" KEY_B "\nallowed_ip=1.0.0.0/8\nallowed_ip=2.0.0.0/8\n");
	set("public_key=" KEY_B "\nreplace_allowed_ips=true\nallowed_ip=3.0.0.0/8\n");
	CU_ASSERT(!has("allowed_ip=1.0.0.0/8"));
	CU_ASSERT(has("allowed_ip=3.0.0.0/8"));
	node_sim_close(&sim);
}

static void peers_come_and_go(void)
{
	node_sim_open(&sim);
	CU_ASSERT_EQUAL(set("public_key=" KEY_A "\nupdate_only=true\nendpoint=1.2.3.4:5\n"), 0);
	CU_ASSERT(!has("public_key"));
	set("public_key=" KEY_A "\n");
	CU_ASSERT_EQUAL(set("public_key=" KEY_A "\nupdate_only=true\nendpoint=1.2.3.4:5\n"), 0);
	CU_ASSERT(has("endpoint=1.2.3.4:5"));
	set("public_key=" KEY_A "\nremove=true\n");
	CU_ASSERT(!has("public_key"));
	set("public_key=" KEY_A "\npublic_key=" KEY_B "\n");
	set("replace_peers=true\npublic_key=" KEY_B "\n");
	CU_ASSERT(!has(KEY_A));
	CU_ASSERT(has(KEY_B));
	node_sim_close(&sim);
}

/* Our own public key as a peer: no error and no peer; a private key that matches removes the peer.
 */
static void own_key(void)
{
	struct node_device_info info;
	char pub[65], line[128];

	node_sim_open(&sim);
	set("private_key=" PRIV "\n");
	node_device_get_info(sim.device, &info);
	tt_key_to_hex(info.public_key, pub);
	snprintf(line, sizeof(line), "public_key=%s\nallowed_ip=1.1.1.1/32\n", pub);
	CU_ASSERT_EQUAL(set(line), 0);
	CU_ASSERT(!has("public_key"));
	set("private_key=" KEY_A "\n");
	CU_ASSERT_EQUAL(set(line), 0);
	CU_ASSERT(has("public_key"));
	CU_ASSERT_EQUAL(set("private_key=" PRIV "\n"), 0);
	CU_ASSERT(!has("public_key"));
	/* all zero removes the key */
	CU_ASSERT_EQUAL(
		set("private_key=00000000000000000000000000000000000000000000000000000000000"
		    "00000\n"),
		0);
	CU_ASSERT(!has("private_key"));
	node_sim_close(&sim);
}

static void refused(void)
{
	static const struct {
		const char *request;
		int error;
	} cases[] = {
		{"nonsense\n", -EPROTO},
		{"unknown=1\n", -EINVAL},
		{"listen_port=65536\n", -EINVAL},
		{"listen_port=-1\n", -EINVAL},
		{"listen_port=\n", -EINVAL},
		{"listen_port=1e3\n", -EINVAL},
		{"fwmark=4294967296\n", -EINVAL},
		{"private_key=abc\n", -EINVAL},
		{"replace_peers=false\n", -EINVAL},
		{"endpoint=1.2.3.4:5\n", -EINVAL}, /* before any peer */
		{"public_key=" KEY_A "\nlisten_port=5\n", -EINVAL},
		{"public_key=" KEY_A "\nendpoint=1.2.3.4\n", -EINVAL},
		{"public_key=" KEY_A "\nendpoint=1.2.3.4:0\n", -EINVAL},
		{"public_key=" KEY_A "\nendpoint=example.com:5\n", -EINVAL},
		{"public_key=" KEY_A "\npersistent_keepalive_interval=65536\n", -EINVAL},
		{"public_key=" KEY_A "\nallowed_ip=10.0.0.0/33\n", -EINVAL},
		{"public_key=" KEY_A "\nremove=yes\n", -EINVAL},
		{"public_key=" KEY_A "\nprotocol_version=2\n", -EINVAL},
		{"public_key=" KEY_A "zz\n", -EINVAL},
	};

	node_sim_open(&sim);
	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		int err = set(cases[i].request);
		if (err != cases[i].error)
			printf("  %s -> %d\n", cases[i].request, err);
		CU_ASSERT_EQUAL(err, cases[i].error);
	}
	node_sim_close(&sim);
}

static void failed_rebind_is_told(void)
{
	node_sim_open(&sim);
	sim.rebind_error = -EADDRINUSE;
	CU_ASSERT_EQUAL(set("listen_port=4000\n"), -EADDRINUSE);
	CU_ASSERT(has("listen_port=51820\n"));
	sim.rebind_error = 0;
	CU_ASSERT_EQUAL(set("listen_port=4000\n"), 0);
	CU_ASSERT(has("listen_port=4000\n"));
	node_sim_close(&sim);
}

/* A peer that is removed while a slow client reads ends that reply; nothing else. */
static void removal_during_get(void)
{
	struct node_uapi_get g;
	char piece[NODE_UAPI_PIECE_MIN];
	char line[128];

	node_sim_open(&sim);
	set("public_key=" KEY_A "\n");
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 256; j++) {
			snprintf(line, sizeof(line),
				 "public_key=" KEY_A "\nallowed_ip=10.%d.%d.0/24\n", i, j);
			set(line);
		}
	node_uapi_get_begin(&g, sim.device);
	CU_ASSERT(node_uapi_get_piece(&g, piece, sizeof(piece)) > 0);
	set("public_key=" KEY_A "\nremove=true\n");
	CU_ASSERT_EQUAL(node_uapi_get_piece(&g, piece, sizeof(piece)), 0);
	node_sim_close(&sim);
}

static void one_line(struct node_uapi_set *s, const char *line)
{
	char copy[256];

	strcpy(copy, line);
	node_uapi_set_line(s, copy);
}

/* A peer that another client removes between two lines of a slow one: the rest does nothing, also
 * where its id is somebody else's by then. */
static void removal_during_set(void)
{
	struct node_uapi_set slow;

	node_sim_open(&sim);
	node_uapi_set_begin(&slow, sim.device);
	one_line(&slow, "public_key=" KEY_A);
	set("public_key=" KEY_A "\nremove=true\n");
	one_line(&slow, "endpoint=1.2.3.4:5");
	set("public_key=" KEY_B "\n");
	one_line(&slow, "allowed_ip=10.9.0.0/24");
	one_line(&slow, "remove=true");
	CU_ASSERT_EQUAL(node_uapi_set_end(&slow), 0);
	CU_ASSERT(has("public_key=" KEY_B "\n"));
	CU_ASSERT(!has("allowed_ip="));
	CU_ASSERT(!has("endpoint="));
	node_sim_close(&sim);
}

/* Nothing is sent before there is a key, an endpoint and a link; then the keepalive starts it. */
static void starts_late(void)
{
	node_sim_open(&sim);
	set("public_key=" KEY_A "\nendpoint=1.2.3.4:5\npersistent_keepalive_interval=1\n");
	CU_ASSERT_EQUAL(sim.sent, 0);
	node_device_set_up(sim.device, true);
	CU_ASSERT_EQUAL(sim.sent, 0);
	set("private_key=" PRIV "\n");
	if (sim.armed.ns)
		node_device_tick(sim.device, sim.armed);
	CU_ASSERT(sim.sent >= 1);
	CU_ASSERT_EQUAL(sim.last_sent[0], 1);
	node_sim_close(&sim);
}

TT_TESTS("uapi", {"order of get", order_of_get}, {"removal during set", removal_during_set},
	 {"allowed IPs move", allowed_ips_move}, {"peers come and go", peers_come_and_go},
	 {"own public key", own_key}, {"case 40: malformed requests are refused", refused},
	 {"a failed change of port is told", failed_rebind_is_told},
	 {"removal while a client reads", removal_during_get},
	 {"a key that comes late", starts_late})
