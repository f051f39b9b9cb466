/* SPDX-License-Identifier: MIT */
#include "mesh/relay.h"

#include "base/cursor.h"
#include "crypto/blake2s.h"
#include "crypto/mem.h"

#define ECHO_LEN MESH_RELAY_COOKIE_LEN /* what a BOUND answers */

const char *mesh_relay_verdict_name(enum mesh_relay_verdict v)
{
	switch (v) {
	case MESH_RELAY_OK:
		return "ok";
	case MESH_RELAY_TOO_SHORT:
		return "too_short";
	case MESH_RELAY_BAD_MAGIC:
		return "bad_magic";
	case MESH_RELAY_BAD_RESERVED:
		return "bad_reserved";
	case MESH_RELAY_BAD_TAG:
		return "bad_tag";
	case MESH_RELAY_BAD_TYPE:
		return "bad_type";
	case MESH_RELAY_BAD_LENGTH:
		return "bad_length";
	case MESH_RELAY_BAD_INNER:
		return "bad_inner";
	}
	return "unknown";
}

/* --- from bytes --------------------------------------------------------------------------------
 */

static enum mesh_relay_verdict check_header(const uint8_t *d, size_t len)
{
	if (len < MESH_RELAY_HEADER)
		return MESH_RELAY_TOO_SHORT;
	if (d[0] != MESH_RELAY_MAGIC)
		return MESH_RELAY_BAD_MAGIC;
	if (d[1] > MESH_RELAY_PROBE)
		return MESH_RELAY_BAD_TYPE;
	if (d[2] || d[3])
		return MESH_RELAY_BAD_RESERVED;
	return tt_load_be32(d + 4) ? MESH_RELAY_OK : MESH_RELAY_BAD_TAG;
}

static bool length_is_right(enum mesh_relay_type type, size_t len)
{
	switch (type) {
	case MESH_RELAY_DATA:
	case MESH_RELAY_PROBE:
		return len >= MESH_RELAY_HEADER + MESH_RELAY_INNER_MIN;
	case MESH_RELAY_BIND_REQUEST:
		return len == MESH_RELAY_REQUEST_LEN;
	case MESH_RELAY_BIND_CHALLENGE:
		return len == MESH_RELAY_CHALLENGE_LEN;
	case MESH_RELAY_BIND_ANSWER:
		return len == MESH_RELAY_ANSWER_LEN;
	case MESH_RELAY_BOUND:
		return len == MESH_RELAY_BOUND_LEN;
	case MESH_RELAY_KEEPALIVE:
		return len == MESH_RELAY_KEEPALIVE_LEN;
	}
	return false;
}

/* The fields behind the header of a datagram whose length is right. */
static void read_fields(struct mesh_relay_message *m, struct tt_cursor *c)
{
	switch (m->type) {
	case MESH_RELAY_DATA:
	case MESH_RELAY_PROBE:
		m->inner_len = tt_cursor_left(c);
		m->inner = tt_cursor_take(c, m->inner_len);
		return;
	case MESH_RELAY_BIND_REQUEST:
		return;
	case MESH_RELAY_BIND_CHALLENGE:
		m->cookie = tt_cursor_take(c, MESH_RELAY_COOKIE_LEN);
		return;
	case MESH_RELAY_BIND_ANSWER:
		m->cookie = tt_cursor_take(c, MESH_RELAY_COOKIE_LEN);
		break;
	case MESH_RELAY_BOUND:
		m->expires_s = tt_cursor_be32(c);
		break;
	case MESH_RELAY_KEEPALIVE:
		m->sequence = (uint64_t)tt_cursor_be32(c) << 32;
		m->sequence |= tt_cursor_be32(c);
		break;
	}
	m->mac = tt_cursor_take(c, MESH_RELAY_MAC_LEN);
}

/* What a datagram may not carry: a relayed one again, or a secret channel in the padding. */
static bool content_is_right(const struct mesh_relay_message *m)
{
	if (m->inner)
		return m->inner[0] != MESH_RELAY_MAGIC;
	if (m->type == MESH_RELAY_BIND_REQUEST)
		return crypto_is_zero(m->start + MESH_RELAY_HEADER,
				      MESH_RELAY_REQUEST_LEN - MESH_RELAY_HEADER);
	return true;
}

enum mesh_relay_verdict mesh_relay_parse(struct mesh_relay_message *m, const uint8_t *datagram,
					 size_t len)
{
	enum mesh_relay_verdict v = check_header(datagram, len);

	if (v != MESH_RELAY_OK)
		return v;
	*m = (struct mesh_relay_message){.type = (enum mesh_relay_type)datagram[1],
					 .tag = tt_load_be32(datagram + 4),
					 .start = datagram};
	if (!length_is_right(m->type, len))
		return MESH_RELAY_BAD_LENGTH;
	struct tt_cursor c = tt_cursor_over(datagram + MESH_RELAY_HEADER, len - MESH_RELAY_HEADER);
	read_fields(m, &c);
	return content_is_right(m) ? MESH_RELAY_OK : MESH_RELAY_BAD_INNER;
}

/* --- to bytes ----------------------------------------------------------------------------------
 */

static void write_header(uint8_t *out, enum mesh_relay_type type, uint32_t tag)
{
	tt_store_be32(out, (uint32_t)MESH_RELAY_MAGIC << 24 | (uint32_t)type << 16);
	tt_store_be32(out + 4, tag);
}

/* MAC over the len bytes before it, and what they answer. */
static void make_mac(uint8_t mac[MESH_RELAY_MAC_LEN], const uint8_t key[MESH_RELAY_KEY_LEN],
		     const uint8_t *start, size_t len, const uint8_t *echo)
{
	struct crypto_blake2s s;

	crypto_blake2s_init(&s, MESH_RELAY_MAC_LEN, key, MESH_RELAY_KEY_LEN);
	crypto_blake2s_update(&s, start, len);
	if (echo)
		crypto_blake2s_update(&s, echo, ECHO_LEN);
	crypto_blake2s_final(&s, mac);
}

static bool check_mac(const struct mesh_relay_message *m, const uint8_t key[MESH_RELAY_KEY_LEN],
		      const uint8_t *echo)
{
	uint8_t mac[MESH_RELAY_MAC_LEN];

	make_mac(mac, key, m->start, (size_t)(m->mac - m->start), echo);
	bool right = crypto_equal(mac, m->mac, sizeof(mac));
	crypto_wipe(mac, sizeof(mac));
	return right;
}

static void make_echo(uint8_t echo[ECHO_LEN], const uint8_t *cookie, uint64_t sequence)
{
	if (cookie) {
		memcpy(echo, cookie, MESH_RELAY_COOKIE_LEN);
		return;
	}
	memset(echo, 0, ECHO_LEN);
	tt_store_be64(echo, sequence);
}

void mesh_relay_request_write(uint8_t out[MESH_RELAY_REQUEST_LEN], uint32_t tag)
{
	memset(out, 0, MESH_RELAY_REQUEST_LEN);
	write_header(out, MESH_RELAY_BIND_REQUEST, tag);
}

void mesh_relay_challenge_write(uint8_t out[MESH_RELAY_CHALLENGE_LEN], uint32_t tag,
				const uint8_t cookie[MESH_RELAY_COOKIE_LEN])
{
	write_header(out, MESH_RELAY_BIND_CHALLENGE, tag);
	memcpy(out + MESH_RELAY_HEADER, cookie, MESH_RELAY_COOKIE_LEN);
}

void mesh_relay_answer_write(uint8_t out[MESH_RELAY_ANSWER_LEN], uint32_t tag,
			     const uint8_t cookie[MESH_RELAY_COOKIE_LEN],
			     const uint8_t key[MESH_RELAY_KEY_LEN])
{
	const size_t before = MESH_RELAY_ANSWER_LEN - MESH_RELAY_MAC_LEN;

	write_header(out, MESH_RELAY_BIND_ANSWER, tag);
	memcpy(out + MESH_RELAY_HEADER, cookie, MESH_RELAY_COOKIE_LEN);
	make_mac(out + before, key, out, before, NULL);
}

void mesh_relay_keepalive_write(uint8_t out[MESH_RELAY_KEEPALIVE_LEN], uint32_t tag,
				uint64_t sequence, const uint8_t key[MESH_RELAY_KEY_LEN])
{
	const size_t before = MESH_RELAY_KEEPALIVE_LEN - MESH_RELAY_MAC_LEN;

	write_header(out, MESH_RELAY_KEEPALIVE, tag);
	tt_store_be64(out + MESH_RELAY_HEADER, sequence);
	make_mac(out + before, key, out, before, NULL);
}

void mesh_relay_bound_write(uint8_t out[MESH_RELAY_BOUND_LEN], const struct mesh_relay_message *m,
			    uint32_t expires_s, const uint8_t key[MESH_RELAY_KEY_LEN])
{
	const size_t before = MESH_RELAY_BOUND_LEN - MESH_RELAY_MAC_LEN;
	uint8_t echo[ECHO_LEN];

	tt_assert(m->type == MESH_RELAY_BIND_ANSWER || m->type == MESH_RELAY_KEEPALIVE);
	make_echo(echo, m->cookie, m->sequence);
	write_header(out, MESH_RELAY_BOUND, m->tag);
	tt_store_be32(out + MESH_RELAY_HEADER, expires_s);
	make_mac(out + before, key, out, before, echo);
}

bool mesh_relay_mac_check(const struct mesh_relay_message *m, const uint8_t key[MESH_RELAY_KEY_LEN])
{
	if (m->type != MESH_RELAY_BIND_ANSWER && m->type != MESH_RELAY_KEEPALIVE)
		return false;
	return check_mac(m, key, NULL);
}

bool mesh_relay_bound_check(const struct mesh_relay_message *m,
			    const uint8_t key[MESH_RELAY_KEY_LEN],
			    const uint8_t cookie[MESH_RELAY_COOKIE_LEN], uint64_t sequence)
{
	uint8_t echo[ECHO_LEN];

	if (m->type != MESH_RELAY_BOUND)
		return false;
	make_echo(echo, cookie, sequence);
	return check_mac(m, key, echo);
}

/* --- the hub's cookies -------------------------------------------------------------------------
 */

void mesh_relay_cookies_refresh(struct mesh_relay_cookies *c, struct tt_mono now,
				const struct tt_rng *rng)
{
	uint64_t age = tt_mono_since(now, c->born);

	if (tt_mono_is_set(c->born) && age < MESH_RELAY_SECRET_LIFE_NS)
		return;
	/* After a long silence, or at the start, the one before must not be good either. */
	if (!tt_mono_is_set(c->born) || age >= 2 * MESH_RELAY_SECRET_LIFE_NS)
		tt_rng_fill(rng, c->secret[1], sizeof(c->secret[1]));
	else
		memcpy(c->secret[1], c->secret[0], sizeof(c->secret[1]));
	tt_rng_fill(rng, c->secret[0], sizeof(c->secret[0]));
	c->born = now;
}

static void make_cookie(const uint8_t secret[32], uint8_t cookie[MESH_RELAY_COOKIE_LEN],
			const struct tt_endpoint *source, uint32_t tag)
{
	uint8_t text[1 + 16 + 4 + 2 + 4];

	text[0] = source->ip.family;
	memcpy(text + 1, source->ip.b, 16);
	tt_store_be32(text + 17, source->ip.scope_id);
	tt_store_be16(text + 21, source->udp_port);
	tt_store_be32(text + 23, tag);
	crypto_blake2s(cookie, MESH_RELAY_COOKIE_LEN, secret, 32, text, sizeof(text));
}

void mesh_relay_cookie_make(const struct mesh_relay_cookies *c,
			    uint8_t cookie[MESH_RELAY_COOKIE_LEN], const struct tt_endpoint *source,
			    uint32_t tag)
{
	tt_assert(tt_mono_is_set(c->born));
	make_cookie(c->secret[0], cookie, source, tag);
}

bool mesh_relay_cookie_check(const struct mesh_relay_cookies *c,
			     const uint8_t cookie[MESH_RELAY_COOKIE_LEN],
			     const struct tt_endpoint *source, uint32_t tag)
{
	uint8_t right[MESH_RELAY_COOKIE_LEN];
	bool same = false;

	tt_assert(tt_mono_is_set(c->born));
	for (int i = 0; i < 2 && !same; i++) {
		make_cookie(c->secret[i], right, source, tag);
		same = crypto_equal(right, cookie, sizeof(right));
	}
	crypto_wipe(right, sizeof(right));
	return same;
}

void mesh_relay_cookies_wipe(struct mesh_relay_cookies *c)
{
	crypto_wipe(c, sizeof(*c));
}
