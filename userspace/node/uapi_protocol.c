/* SPDX-License-Identifier: MIT
 *
 * The configuration protocol itself: lines in, pieces of text out. No socket here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/b64.h"
#include "crypto/mem.h"
#include "node/uapi.h"

/* --- set -------------------------------------------------------------------------------------- */

/* Decimal, no sign, no space; false where it is none or larger than max. */
static bool parse_number(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s || strlen(s) > 20)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		unsigned digit = (unsigned)(*s - '0');
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return v <= max;
}

static int parse_key(const char *s, uint8_t key[TT_KEY_LEN])
{
	return tt_key_from_hex(s, strlen(s), key);
}

void node_uapi_set_begin(struct node_uapi_set *s, struct node_device *d)
{
	*s = (struct node_uapi_set){.device = d};
}

static int set_private_key(struct node_uapi_set *s, const char *value)
{
	uint8_t key[TT_KEY_LEN];
	int err = parse_key(value, key);

	if (!err)
		err = node_device_set_private_key(s->device, key);
	crypto_wipe(key, sizeof(key));
	return err;
}

static int set_listen_port(struct node_uapi_set *s, const char *value)
{
	uint64_t v;

	return parse_number(value, 65535, &v) ? node_device_set_udp_port(s->device, (uint16_t)v)
					      : -EINVAL;
}

static int set_fwmark(struct node_uapi_set *s, const char *value)
{
	uint64_t v;

	return parse_number(value, UINT32_MAX, &v) ? node_device_set_fwmark(s->device, (uint32_t)v)
						   : -EINVAL;
}

static int set_replace_peers(struct node_uapi_set *s, const char *value)
{
	if (strcmp(value, "true") != 0)
		return -EINVAL;
	node_device_remove_all_peers(s->device);
	return 0;
}

static void set_hold(struct node_uapi_set *s)
{
	s->id = node_peer_id(s->peer);
	s->serial = node_peer_serial(s->peer);
}

/* Between two lines of a slow client others remove peers: a reload, another client. What is left to
 * say about such a peer does nothing. */
static void set_look_again(struct node_uapi_set *s)
{
	struct node_peer *p = s->peer ? node_device_peer_by_id(s->device, s->id) : NULL;

	if (!s->peer || (p && node_peer_serial(p) == s->serial))
		return;
	s->peer = NULL;
	s->dummy = true;
}

static int set_public_key(struct node_uapi_set *s, const char *value)
{
	uint8_t key[TT_KEY_LEN];
	int err = parse_key(value, key);

	if (err)
		return err;
	s->in_peer = true;
	s->dummy = s->created = false;
	s->peer = node_device_find_peer(s->device, key);
	if (s->peer) {
		set_hold(s);
		return 0;
	}
	err = node_device_add_peer(s->device, key, &s->peer);
	if (err == -EADDRINUSE) {
		/* our own key: its lines are read and do nothing */
		s->dummy = true;
		return 0;
	}
	s->created = !err;
	if (!err)
		set_hold(s);
	return err;
}

static int set_update_only(struct node_uapi_set *s, const char *value)
{
	if (strcmp(value, "true") != 0)
		return -EINVAL;
	if (s->created && s->peer) {
		node_device_remove_peer(s->device, s->peer);
		s->peer = NULL;
		s->dummy = true;
	}
	return 0;
}

static int set_remove(struct node_uapi_set *s, const char *value)
{
	if (strcmp(value, "true") != 0)
		return -EINVAL;
	if (s->peer)
		node_device_remove_peer(s->device, s->peer);
	s->peer = NULL;
	s->dummy = true;
	return 0;
}

static int set_preshared_key(struct node_uapi_set *s, const char *value)
{
	uint8_t key[TT_KEY_LEN];
	int err = parse_key(value, key);

	if (!err && s->peer)
		node_peer_set_psk(s->device, s->peer, key);
	crypto_wipe(key, sizeof(key));
	return err;
}

static int set_endpoint(struct node_uapi_set *s, const char *value)
{
	struct tt_endpoint e;

	if (tt_endpoint_parse(value, &e) != 0 || !e.udp_port)
		return -EINVAL;
	if (s->peer)
		node_peer_set_endpoint(s->device, s->peer, &e);
	return 0;
}

static int set_keepalive(struct node_uapi_set *s, const char *value)
{
	uint64_t v;

	if (!parse_number(value, 65535, &v))
		return -EINVAL;
	if (s->peer)
		node_peer_set_keepalive(s->device, s->peer, (uint16_t)v);
	return 0;
}

static int set_replace_allowed_ips(struct node_uapi_set *s, const char *value)
{
	if (strcmp(value, "true") != 0)
		return -EINVAL;
	if (s->peer)
		node_peer_clear_allowed_ips(s->device, s->peer);
	return 0;
}

static int set_allowed_ip(struct node_uapi_set *s, const char *value)
{
	struct tt_cidr c;
	bool remove = *value == '-';

	if (tt_cidr_parse(value + remove, &c) != 0)
		return -EINVAL;
	tt_cidr_mask(&c);
	if (!s->peer)
		return 0;
	if (remove) {
		node_peer_remove_allowed_ip(s->device, s->peer, &c);
		return 0;
	}
	return node_peer_add_allowed_ip(s->device, s->peer, &c);
}

static int set_protocol_version(struct node_uapi_set *s, const char *value)
{
	(void)s;
	return strcmp(value, "1") == 0 ? 0 : -EINVAL;
}

struct set_key {
	const char *name;
	bool of_peer;
	int (*apply)(struct node_uapi_set *s, const char *value);
};

static const struct set_key set_keys[] = {
	{"private_key", false, set_private_key},
	{"listen_port", false, set_listen_port},
	{"fwmark", false, set_fwmark},
	{"replace_peers", false, set_replace_peers},
	{"public_key", true, set_public_key},
	{"update_only", true, set_update_only},
	{"remove", true, set_remove},
	{"preshared_key", true, set_preshared_key},
	{"endpoint", true, set_endpoint},
	{"persistent_keepalive_interval", true, set_keepalive},
	{"replace_allowed_ips", true, set_replace_allowed_ips},
	{"allowed_ip", true, set_allowed_ip},
	{"protocol_version", true, set_protocol_version},
};

void node_uapi_set_line(struct node_uapi_set *s, char *line)
{
	char *eq = strchr(line, '=');

	if (s->error)
		return;
	set_look_again(s);
	if (!eq) {
		s->error = -EPROTO;
		return;
	}
	*eq = 0;
	for (size_t i = 0; i < TT_ARRAY_LEN(set_keys); i++) {
		const struct set_key *k = &set_keys[i];
		if (strcmp(k->name, line) != 0)
			continue;
		bool starts_peer = k->apply == set_public_key;
		/* device keys come before the first peer, peer keys after a public_key */
		if (k->of_peer != s->in_peer && !starts_peer)
			break;
		s->error = k->apply(s, eq + 1);
		return;
	}
	s->error = -EINVAL;
}

int node_uapi_set_end(struct node_uapi_set *s)
{
	int err = node_device_commit(s->device);

	return s->error ? s->error : err;
}

/* --- get -------------------------------------------------------------------------------------- */

enum get_stage { GET_DEVICE, GET_PEER, GET_ALLOWED, GET_DONE };

void node_uapi_get_begin(struct node_uapi_get *g, struct node_device *d)
{
	*g = (struct node_uapi_get){.device = d, .stage = GET_DEVICE, .peer = TT_PEER_NONE};
}

static void next_peer(struct node_uapi_get *g, struct node_peer *after)
{
	struct node_peer *p = node_device_next_peer(g->device, after);

	while (p && g->own_only && node_peer_is_managed(p))
		p = node_device_next_peer(g->device, p);
	g->peer = p ? node_peer_id(p) : TT_PEER_NONE;
	g->serial = p ? node_peer_serial(p) : 0;
	g->stage = p ? GET_PEER : GET_DONE;
	g->allowed_cursor = 0;
}

static size_t get_device(struct node_uapi_get *g, char *buf, size_t cap)
{
	struct node_device_info info;
	char hex[TT_KEY_HEX_LEN + 1];
	size_t n = 0;

	node_device_get_info(g->device, &info);
	if (info.has_private_key) {
		tt_key_to_hex(info.private_key, hex);
		n += (size_t)snprintf(buf + n, cap - n, "private_key=%s\n", hex);
		crypto_wipe(hex, sizeof(hex));
	}
	if (info.udp_port)
		n += (size_t)snprintf(buf + n, cap - n, "listen_port=%u\n", info.udp_port);
	if (info.fwmark)
		n += (size_t)snprintf(buf + n, cap - n, "fwmark=%u\n", info.fwmark);
	next_peer(g, NULL);
	return n;
}

static size_t get_peer(struct node_uapi_get *g, struct node_peer *p, char *buf, size_t cap)
{
	struct node_peer_info i;
	char hex[TT_KEY_HEX_LEN + 1], endpoint[TT_ENDPOINT_TEXT_MAX];
	size_t n = 0;

	node_peer_get_info(g->device, p, &i);
	tt_key_to_hex(i.public_key, hex);
	n += (size_t)snprintf(buf + n, cap - n, "public_key=%s\n", hex);
	tt_key_to_hex(i.psk, hex);
	n += (size_t)snprintf(buf + n, cap - n, "preshared_key=%s\nprotocol_version=1\n", hex);
	crypto_wipe(hex, sizeof(hex));
	if (tt_endpoint_is_set(&i.endpoint))
		n += (size_t)snprintf(buf + n, cap - n, "endpoint=%s\n",
				      tt_endpoint_format(&i.endpoint, endpoint));
	n += (size_t)snprintf(buf + n, cap - n,
			      "last_handshake_time_sec=%llu\nlast_handshake_time_nsec=%u\n"
			      "tx_bytes=%llu\nrx_bytes=%llu\npersistent_keepalive_interval=%u\n",
			      (unsigned long long)i.last_handshake.sec, i.last_handshake.nsec,
			      (unsigned long long)i.tx_bytes, (unsigned long long)i.rx_bytes,
			      i.keepalive);
	g->stage = GET_ALLOWED;
	return n;
}

static size_t get_allowed(struct node_uapi_get *g, struct node_peer *p, char *buf, size_t cap)
{
	struct tt_cidr c;
	char text[TT_CIDR_TEXT_MAX];
	size_t n = 0;

	while (cap - n >= TT_CIDR_TEXT_MAX + 16) {
		if (!node_peer_next_allowed_ip(g->device, p, &g->allowed_cursor, &c)) {
			next_peer(g, p);
			break;
		}
		n += (size_t)snprintf(buf + n, cap - n, "allowed_ip=%s\n",
				      tt_cidr_format(&c, text));
	}
	return n;
}

size_t node_uapi_get_piece(struct node_uapi_get *g, char *buf, size_t cap)
{
	size_t n = 0;

	if (g->stage == GET_DEVICE)
		n = get_device(g, buf, cap);
	/* one more peer's head must fit; its allowed IPs stop where the buffer does */
	while (g->stage != GET_DONE && cap - n >= 1024) {
		struct node_peer *p = node_device_peer_by_id(g->device, g->peer);
		/* removed while the client was reading: what follows it is unknown */
		if (!p || node_peer_serial(p) != g->serial)
			g->stage = GET_DONE;
		else if (g->stage == GET_PEER)
			n += get_peer(g, p, buf + n, cap - n);
		else
			n += get_allowed(g, p, buf + n, cap - n);
	}
	return n;
}
