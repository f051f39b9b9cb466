/* SPDX-License-Identifier: MIT */
#include "mesh/hub_codec.h"

#include "base/cursor.h"
#include "mesh/token.h"

bool mesh_hub_text_copy(char *out, size_t room, const ProtobufCBinaryData *field)
{
	out[0] = 0;
	if (field->len >= room)
		return false;
	if (field->len)
		memcpy(out, field->data, field->len);
	out[field->len] = 0;
	return true;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool mesh_hub_name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len > MESH_HUB_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_letter_or_digit(name[i]) && name[i] != '-' && name[i] != '.')
			return false;
		if (i > 0 && name[i] == '.' && name[i - 1] == '.')
			return false;
	}
	return is_letter_or_digit(name[0]) && is_letter_or_digit(name[len - 1]);
}

/* An empty field has no data, not even a place for it. */
static struct tt_cursor cursor_over(const ProtobufCBinaryData *field)
{
	return tt_cursor_over(field->len ? (const void *)field->data : "", field->len);
}

/* --- addresses ---------------------------------------------------------------------------------
 */

static size_t address_len(uint8_t family)
{
	return family == TT_FAMILY_V4 ? 4 : family == TT_FAMILY_V6 ? 16 : 0;
}

/* The address behind a family; an IPv4 address in IPv6 clothes is none. */
static bool read_address(struct tt_cursor *c, uint8_t family, struct tt_ip *ip)
{
	const uint8_t *b = tt_cursor_take(c, address_len(family));

	if (!b || address_len(family) == 0)
		return false;
	*ip = family == TT_FAMILY_V4 ? tt_ip_v4(b) : tt_ip_v6(b);
	return ip->family == family;
}

size_t mesh_hub_prefixes_write(uint8_t *space, size_t room, const struct tt_cidr *list,
			       size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = address_len(list[i].ip.family);

		if (len == 0 || room - used < 2 + len)
			return 0;
		space[used] = list[i].ip.family;
		space[used + 1] = list[i].bits;
		memcpy(space + used + 2, list[i].ip.b, len);
		used += 2 + len;
	}
	return used;
}

static bool read_prefix(struct tt_cursor *c, struct tt_cidr *out)
{
	uint8_t family = tt_cursor_u8(c), bits = tt_cursor_u8(c);

	*out = (struct tt_cidr){.bits = bits};
	if (bits > 8 * address_len(family) || !read_address(c, family, &out->ip))
		return false;
	return !tt_cidr_mask(out);
}

int mesh_hub_prefixes_read(const ProtobufCBinaryData *field, struct tt_cidr *list, size_t max)
{
	struct tt_cursor c = cursor_over(field);
	size_t count = 0;

	for (; tt_cursor_left(&c); count++) {
		if (count == max || !read_prefix(&c, &list[count]))
			return -1;
	}
	return (int)count;
}

size_t mesh_hub_endpoints_write(uint8_t *space, size_t room, const struct tt_endpoint *list,
				size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = address_len(list[i].ip.family);

		if (len == 0 || room - used < 4 + len)
			return 0;
		space[used] = list[i].ip.family;
		space[used + 1] = 0;
		tt_store_be16(space + used + 2, list[i].udp_port);
		memcpy(space + used + 4, list[i].ip.b, len);
		used += 4 + len;
	}
	return used;
}

static bool read_endpoint(struct tt_cursor *c, struct tt_endpoint *out)
{
	uint8_t family = tt_cursor_u8(c), zero = tt_cursor_u8(c);

	*out = (struct tt_endpoint){.udp_port = tt_cursor_be16(c)};
	return zero == 0 && out->udp_port != 0 && read_address(c, family, &out->ip);
}

int mesh_hub_endpoints_read(const ProtobufCBinaryData *field, struct tt_endpoint *list, size_t max)
{
	struct tt_cursor c = cursor_over(field);
	size_t count = 0;

	for (; tt_cursor_left(&c); count++) {
		if (count == max || !read_endpoint(&c, &list[count]))
			return -1;
	}
	return (int)count;
}

/* --- names -------------------------------------------------------------------------------------
 */

bool mesh_hub_names_append(uint8_t *space, size_t room, size_t *used, const char *name)
{
	size_t len = strlen(name);

	if (!mesh_token_host_is_valid(name) || room - *used < 1 + len)
		return false;
	space[*used] = (uint8_t)len;
	memcpy(space + *used + 1, name, len);
	*used += 1 + len;
	return true;
}

bool mesh_hub_names_next(const ProtobufCBinaryData *field, size_t *offset,
			 char name[MESH_HUB_NAME_TEXT_MAX + 1])
{
	struct tt_cursor c = cursor_over(field);

	name[0] = 0;
	tt_cursor_take(&c, *offset);
	size_t len = tt_cursor_u8(&c);
	const uint8_t *text = tt_cursor_take(&c, len);
	if (!text || len == 0 || len > MESH_HUB_NAME_TEXT_MAX)
		return false;
	memcpy(name, text, len);
	name[len] = 0;
	if (strlen(name) != len || !mesh_token_host_is_valid(name)) {
		name[0] = 0;
		return false;
	}
	*offset += 1 + len;
	return true;
}
