/* SPDX-License-Identifier: MIT */
#include "mesh/address.h"

struct tt_ip mesh_address_normalise(const struct tt_ip *ip)
{
	struct tt_ip out = *ip;

	if (ip->family == TT_FAMILY_V6)
		out = tt_ip_v6(ip->b);
	else if (ip->family == TT_FAMILY_V4)
		out = tt_ip_v4(ip->b);
	if (mesh_address_classify(&out) == MESH_ADDRESS_LINK_LOCAL && out.family == TT_FAMILY_V6)
		out.scope_id = ip->scope_id;
	return out;
}

static enum mesh_address_kind classify_v4(const uint8_t b[4])
{
	if (b[0] == 0)
		return MESH_ADDRESS_UNSPECIFIED;
	if (b[0] == 127)
		return MESH_ADDRESS_LOOPBACK;
	if (b[0] == 169 && b[1] == 254)
		return MESH_ADDRESS_LINK_LOCAL;
	if (b[0] >= 240)
		return MESH_ADDRESS_RESERVED;
	if (b[0] >= 224)
		return MESH_ADDRESS_MULTICAST;
	if (b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
	    (b[0] == 100 && (b[1] & 0xc0) == 64))
		return MESH_ADDRESS_PRIVATE;
	return MESH_ADDRESS_PUBLIC;
}

/* ::/96 apart from :: and ::1 once embedded IPv4 addresses; nothing there is reachable. */
static enum mesh_address_kind classify_v6_zero(const uint8_t b[16])
{
	if (tt_load_be32(b + 12) == 0)
		return MESH_ADDRESS_UNSPECIFIED;
	return tt_load_be32(b + 12) == 1 ? MESH_ADDRESS_LOOPBACK : MESH_ADDRESS_RESERVED;
}

static enum mesh_address_kind classify_v6(const uint8_t b[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t zero[12];

	if (memcmp(b, mapped, sizeof(mapped)) == 0)
		return classify_v4(b + 12);
	if (memcmp(b, zero, sizeof(zero)) == 0)
		return classify_v6_zero(b);
	if (b[0] == 0xff)
		return MESH_ADDRESS_MULTICAST;
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
		return MESH_ADDRESS_LINK_LOCAL;
	if ((b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0))
		return MESH_ADDRESS_PRIVATE;
	return MESH_ADDRESS_PUBLIC;
}

enum mesh_address_kind mesh_address_classify(const struct tt_ip *ip)
{
	switch (ip->family) {
	case TT_FAMILY_V4:
		return classify_v4(ip->b);
	case TT_FAMILY_V6:
		return classify_v6(ip->b);
	default:
		return MESH_ADDRESS_NONE;
	}
}

const char *mesh_address_kind_name(enum mesh_address_kind kind)
{
	switch (kind) {
	case MESH_ADDRESS_NONE:
		return "none";
	case MESH_ADDRESS_UNSPECIFIED:
		return "unspecified";
	case MESH_ADDRESS_LOOPBACK:
		return "loopback";
	case MESH_ADDRESS_LINK_LOCAL:
		return "link-local";
	case MESH_ADDRESS_MULTICAST:
		return "multicast";
	case MESH_ADDRESS_RESERVED:
		return "reserved";
	case MESH_ADDRESS_PRIVATE:
		return "private";
	case MESH_ADDRESS_PUBLIC:
		return "public";
	}
	return "none";
}

bool mesh_address_is_target(const struct tt_endpoint *e)
{
	enum mesh_address_kind kind = mesh_address_classify(&e->ip);

	return e->udp_port != 0 && (kind == MESH_ADDRESS_PRIVATE || kind == MESH_ADDRESS_PUBLIC);
}

bool mesh_address_is_own(const struct tt_endpoint *e, const struct tt_ip *own, size_t count,
			 uint16_t own_udp_port)
{
	struct tt_ip ip = mesh_address_normalise(&e->ip);

	if (e->udp_port != own_udp_port)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct tt_ip mine = mesh_address_normalise(&own[i]);

		if (tt_ip_equal(&ip, &mine))
			return true;
	}
	return false;
}
