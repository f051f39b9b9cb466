/* SPDX-License-Identifier: MIT
 *
 * A datagram as STUN: parsed, answered as a server would and taken as a client would. It is tried
 * as it is and with length and fingerprint put right, so that mutations get past them. Whatever is
 * accepted must come out the same when it is written anew.
 */
#include <stdlib.h>
#include <string.h>

#include "mesh/stun_client.h"
#include "mesh/stun_integrity.h"
#include "mesh/stun_server.h"
#include "mesh/stun_write.h"

#define LEN_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

static void rewrite(const struct mesh_stun_msg *m)
{
	static uint8_t buf[LEN_MAX + 64];
	struct mesh_stun_writer w;
	struct mesh_stun_msg again;

	mesh_stun_write_begin(&w, buf, sizeof(buf), m->class, m->method, &m->id);
	for (uint32_t i = 0; i < m->attr_count; i++)
		mesh_stun_write_attr(&w, m->attr[i].type, m->attr[i].value, m->attr[i].len);
	mesh_stun_write_sha1(&w, "key", 3);
	mesh_stun_write_sha256(&w, "key", 3);
	mesh_stun_write_fingerprint(&w);
	require(mesh_stun_parse(&again, buf, mesh_stun_write_end(&w)) == TT_DROP_NONE);
	require(again.has_fingerprint && again.attr_count == m->attr_count);
	require(again.class == m->class && again.method == m->method);
	require(again.unknown_count == m->unknown_count);
	for (uint32_t i = 0; i < m->attr_count; i++)
		require(again.attr[i].type == m->attr[i].type &&
			again.attr[i].len == m->attr[i].len &&
			memcmp(again.attr[i].value, m->attr[i].value, m->attr[i].len) == 0);
	require(mesh_stun_check_integrity(&again, CRYPTO_HMAC_SHA1, "key", 3) == TT_DROP_NONE);
	require(mesh_stun_check_integrity(&again, CRYPTO_HMAC_SHA256, "key", 3) == TT_DROP_NONE);
}

static void serve(const uint8_t *bytes, size_t len)
{
	static const uint8_t v4[4] = {192, 0, 2, 1}, v6[16] = {0x20, 1, 0x0d, 0xb8};
	const struct tt_endpoint sources[] = {{tt_ip_v4(v4), 5, 0}, {tt_ip_v6(v6), 6, 0}};

	for (size_t i = 0; i < TT_ARRAY_LEN(sources); i++) {
		uint8_t out[MESH_STUN_RESPONSE_MAX];
		struct mesh_stun_msg m;
		size_t n;

		enum tt_drop drop = mesh_stun_serve(out, &n, bytes, len, &sources[i]);
		require((drop == TT_DROP_NONE) == (n > 0));
		require(n <= len + 24);
		require(n == 0 || mesh_stun_parse(&m, out, n) == TT_DROP_NONE);
	}
}

static void receive(const uint8_t *bytes, size_t len)
{
	static const uint8_t ip[4] = {203, 0, 113, 1};
	const struct tt_endpoint server = {tt_ip_v4(ip), 3478, 0};
	const struct mesh_stun_self nobody = {0};
	const struct tt_mono now = {TT_NS_PER_SEC};
	uint8_t out[MESH_STUN_REQUEST_MAX];
	struct mesh_stun_client c;
	struct mesh_stun_id id = {{0}};

	if (len >= MESH_STUN_HEADER_LEN)
		memcpy(id.b, bytes + 8, sizeof(id.b));
	mesh_stun_client_start(&c, &server, &nobody, &id, NULL, now);
	mesh_stun_client_tick(&c, out, sizeof(out), now);
	enum tt_drop drop = mesh_stun_client_receive(&c, &server, bytes, len, now);
	require((drop == TT_DROP_NONE) == (c.state != MESH_STUN_CLIENT_WAITING));
	require(tt_endpoint_is_set(&c.reflexive) == (c.state == MESH_STUN_CLIENT_DONE));
}

static void try_one(const uint8_t *bytes, size_t len)
{
	struct mesh_stun_msg m;
	struct tt_endpoint e;

	if (mesh_stun_parse(&m, bytes, len) == TT_DROP_NONE) {
		require(mesh_stun_is(bytes, len) && m.attr_count <= MESH_STUN_ATTRS_MAX);
		mesh_stun_get_error(&m);
		mesh_stun_get_address(&m, MESH_STUN_XOR_MAPPED_ADDRESS, &e);
		mesh_stun_get_address(&m, MESH_STUN_MAPPED_ADDRESS, &e);
		mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA1, "key", 3);
		mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA256, "key", 3);
		rewrite(&m);
	}
	serve(bytes, len);
	receive(bytes, len);
}

/* Cookie, length, and a fingerprint where one stands at the end. */
static void put_right(uint8_t *bytes, size_t len)
{
	if (len < MESH_STUN_HEADER_LEN)
		return;
	tt_store_be16(bytes + 2, (uint16_t)(len - MESH_STUN_HEADER_LEN));
	tt_store_be32(bytes + 4, MESH_STUN_COOKIE);
	if (len >= MESH_STUN_HEADER_LEN + 8 &&
	    tt_load_be16(bytes + len - 8) == MESH_STUN_FINGERPRINT)
		tt_store_be32(bytes + len - 4, mesh_stun_fingerprint(bytes, len - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > LEN_MAX)
		return 0;
	try_one(data, size);
	/* of its own size, so that a read behind the end is seen */
	uint8_t *copy = malloc(size + !size);
	if (size > 0)
		memcpy(copy, data, size);
	put_right(copy, size & ~(size_t)3);
	try_one(copy, size & ~(size_t)3);
	free(copy);
	return 0;
}
