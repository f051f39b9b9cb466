/* SPDX-License-Identifier: MIT */
#include "mesh/stun_server.h"

#include "mesh/address.h"
#include "mesh/stun_write.h"

/* Nobody sends from such an address; an answer would go to somebody who did not ask, or to many. */
static bool can_be_answered(const struct tt_endpoint *source)
{
	switch (mesh_address_classify(&source->ip)) {
	case MESH_ADDRESS_LOOPBACK:
	case MESH_ADDRESS_LINK_LOCAL:
	case MESH_ADDRESS_PRIVATE:
	case MESH_ADDRESS_PUBLIC:
		return source->udp_port != 0;
	case MESH_ADDRESS_NONE:
	case MESH_ADDRESS_UNSPECIFIED:
	case MESH_ADDRESS_MULTICAST:
	case MESH_ADDRESS_RESERVED:
		return false;
	}
	return false;
}

static size_t answer(uint8_t *out, const struct mesh_stun_msg *m, const struct tt_endpoint *source)
{
	struct mesh_stun_writer w;
	struct tt_endpoint mapped = {mesh_address_normalise(&source->ip), source->udp_port, 0};
	bool good = m->unknown_count == 0;

	mesh_stun_write_begin(&w, out, MESH_STUN_RESPONSE_MAX,
			      good ? MESH_STUN_SUCCESS : MESH_STUN_ERROR, m->method, &m->id);
	if (good) {
		mesh_stun_write_address(&w, MESH_STUN_XOR_MAPPED_ADDRESS, &mapped);
	} else {
		mesh_stun_write_error(&w, MESH_STUN_UNKNOWN_ATTRIBUTE);
		mesh_stun_write_unknown(&w, m->unknown, m->unknown_count);
	}
	if (m->has_fingerprint)
		mesh_stun_write_fingerprint(&w);
	return mesh_stun_write_end(&w);
}

enum tt_drop mesh_stun_serve(uint8_t *out, size_t *out_len, const uint8_t *bytes, size_t len,
			     const struct tt_endpoint *source)
{
	struct mesh_stun_msg m;

	*out_len = 0;
	enum tt_drop drop = mesh_stun_parse(&m, bytes, len);
	if (drop != TT_DROP_NONE)
		return drop;
	if (!can_be_answered(source))
		return TT_DROP_STUN_SOURCE;
	if (m.class != MESH_STUN_REQUEST || m.method != MESH_STUN_BINDING)
		return TT_DROP_STUN_UNEXPECTED;
	*out_len = answer(out, &m, source);
	tt_assert(*out_len > 0);
	return TT_DROP_NONE;
}
