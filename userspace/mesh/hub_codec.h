/* SPDX-License-Identifier: MIT
 *
 * Messages of hub.proto to bytes and back, in memory of the caller. What unpacking returns is
 * checked: every length, count, name, key and address is within the bounds here, so that users look
 * at meaning only. Pure; an arena belongs to one thread.
 *
 * The structs are those that protoc-c makes (Taltun__Hub__V1__...): begin with their __INIT.
 */
#ifndef TT_MESH_HUB_CODEC_H
#define TT_MESH_HUB_CODEC_H

#include "base/addr.h"
#include "mesh/frame.h"
#include "mesh/hub.pb-c.h"

#define MESH_HUB_KEY_LEN	32
#define MESH_HUB_TOKEN_ID_LEN	12
#define MESH_HUB_NONCE_LEN	32
#define MESH_HUB_PROOF_LEN	32
#define MESH_HUB_NAME_MAX	63  /* characters, [a-z0-9.-], a letter or digit at both ends */
#define MESH_HUB_TEXT_MAX	255 /* version, hostname, os, text of an error: printable ASCII */
#define MESH_HUB_SEALED_MAX	2048
#define MESH_HUB_CSR_MAX	4096
#define MESH_HUB_CERT_MAX	4096
#define MESH_HUB_CHAIN_MAX	16384
#define MESH_HUB_ADDRESSES_MAX	4 /* of one node */
#define MESH_HUB_SUBNETS_MAX	64
#define MESH_HUB_NETWORKS_MAX	4 /* of a hub */
#define MESH_HUB_ENDPOINTS_MAX	4 /* of a relay */
#define MESH_HUB_NAMES_MAX	8 /* of a hub; each a host name of at most 253 characters */
#define MESH_HUB_NAME_TEXT_MAX	253
#define MESH_HUB_PEERS_MAX	10000 /* of one map, whatever the number of updates */
#define MESH_HUB_KEEPALIVE_MAX	65535 /* seconds */
#define MESH_HUB_LEG_EXPIRY_MAX 3600  /* seconds */
#define MESH_HUB_RESTART_MAX_MS 600000

/*
 * What an update of a chain should be: a sender ends it before the packed size passes this. Any
 * CONTROL body up to MESH_FRAME_CONTROL_MAX that is within the bounds unpacks in
 * MESH_HUB_ARENA_MAP, any other message in MESH_HUB_ARENA_SMALL.
 */
#define MESH_HUB_UPDATE_MAX  (200 * 1024)
#define MESH_HUB_ARENA_MAP   (3 * 1024 * 1024)
#define MESH_HUB_ARENA_SMALL (32 * 1024)

enum mesh_hub_outcome {
	MESH_HUB_OK,
	/* packing */
	MESH_HUB_NO_ROOM, /* the caller's space is too small */
	/* either way */
	MESH_HUB_TOO_LONG,   /* the message; or one of its fields, a list of which has too many */
	MESH_HUB_MALFORMED,  /* not protobuf, or not these types */
	MESH_HUB_TOO_MUCH,   /* more than the arena holds */
	MESH_HUB_UNKNOWN,    /* no message that this version knows: ignore it */
	MESH_HUB_BAD_LENGTH, /* a key or id of another length; an empty field */
	MESH_HUB_BAD_TEXT,   /* a name or text with characters that it must not have */
	MESH_HUB_BAD_LIST,   /* prefixes, endpoints or names that are none */
	MESH_HUB_BAD_NUMBER, /* id 0, an enum that is not known, a number out of its range */
};

/* "bad_text"; never NULL. */
const char *mesh_hub_outcome_name(enum mesh_hub_outcome o);

/* Memory of one unpacked message; nothing is given back before the next one. */
struct mesh_hub_arena {
	uint8_t *base;
	size_t size, used;
	bool exhausted;
};

/* Any alignment; the memory stays the caller's. Everything that was unpacked into it is gone. */
void mesh_hub_arena_init(struct mesh_hub_arena *a, void *memory, size_t size);

/*
 * Body of a CONTROL frame to a message in the arena (which is begun anew). *out lives as long as
 * the arena's content, and is NULL unless MESH_HUB_OK. Fields of later versions are left out.
 */
enum mesh_hub_outcome mesh_hub_to_hub_unpack(struct mesh_hub_arena *a, const uint8_t *body,
					     size_t len, const Taltun__Hub__V1__ToHub **out);
enum mesh_hub_outcome mesh_hub_to_node_unpack(struct mesh_hub_arena *a, const uint8_t *body,
					      size_t len, const Taltun__Hub__V1__ToNode **out);

/*
 * A whole CONTROL frame, header included; *len bytes of space are written, 0 unless MESH_HUB_OK.
 * What the other end would refuse is refused here, with the same outcome. MESH_FRAME_HEADER +
 * MESH_HUB_SMALL_MAX is room for every message but a map.
 */
#define MESH_HUB_SMALL_MAX (24 * 1024)
enum mesh_hub_outcome mesh_hub_to_hub_pack(const Taltun__Hub__V1__ToHub *m, uint8_t *space,
					   size_t room, size_t *len);
enum mesh_hub_outcome mesh_hub_to_node_pack(const Taltun__Hub__V1__ToNode *m, uint8_t *space,
					    size_t room, size_t *len);

/* Bytes that a peer adds to a packed MapUpdate, for the sender of a chain. */
size_t mesh_hub_peer_size(const Taltun__Hub__V1__Peer *p);

/* --- fields ------------------------------------------------------------------------------------
 */

/* A field over memory of the caller, which stays in place until the message is packed. */
static inline ProtobufCBinaryData mesh_hub_bytes(const void *data, size_t len)
{
	return (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
}

static inline ProtobufCBinaryData mesh_hub_text(const char *text)
{
	return mesh_hub_bytes(text, strlen(text));
}

/* A text field as a string; false and "" where room (with the zero) does not hold it. */
bool mesh_hub_text_copy(char *out, size_t room, const ProtobufCBinaryData *field);

/* True where it is a node's name: the rule at MESH_HUB_NAME_MAX, and no two dots together. */
bool mesh_hub_name_is_valid(const char *name, size_t len);

/*
 * Packed lists (hub.proto). Write: bytes used of space, or 0 where room is too small or there is
 * nothing to write; MESH_HUB_*_BYTES is always room enough for one entry. Read: the number of
 * entries, or -1 where the bytes are not such a list or it has more than max.
 */
#define MESH_HUB_PREFIX_BYTES	18
#define MESH_HUB_ENDPOINT_BYTES 20
size_t mesh_hub_prefixes_write(uint8_t *space, size_t room, const struct tt_cidr *list,
			       size_t count);
int mesh_hub_prefixes_read(const ProtobufCBinaryData *field, struct tt_cidr *list, size_t max);
size_t mesh_hub_endpoints_write(uint8_t *space, size_t room, const struct tt_endpoint *list,
				size_t count);
int mesh_hub_endpoints_read(const ProtobufCBinaryData *field, struct tt_endpoint *list, size_t max);

/* Appends one name to a list of *used bytes; false where room or length forbid it. */
bool mesh_hub_names_append(uint8_t *space, size_t room, size_t *used, const char *name);
/* The name at *offset (0 to begin with), which moves on; false at the end. */
bool mesh_hub_names_next(const ProtobufCBinaryData *field, size_t *offset,
			 char name[MESH_HUB_NAME_TEXT_MAX + 1]);

#endif
