/* SPDX-License-Identifier: MIT */
#include "mesh/hub_check.h"

/*
 * A message is a list of requirements; the first that does not hold is the outcome. Each check_*
 * returns MESH_HUB_OK or what is wrong.
 */
#define require(check)                              \
	do {                                        \
		enum mesh_hub_outcome _o = (check); \
		if (_o != MESH_HUB_OK)              \
			return _o;                  \
	} while (0)

/* --- fields ------------------------------------------------------------------------------------
 */

static enum mesh_hub_outcome check_fixed(const ProtobufCBinaryData *f, size_t len)
{
	return f->len == len ? MESH_HUB_OK : MESH_HUB_BAD_LENGTH;
}

static enum mesh_hub_outcome check_bytes(const ProtobufCBinaryData *f, size_t max)
{
	if (f->len == 0)
		return MESH_HUB_BAD_LENGTH;
	return f->len <= max ? MESH_HUB_OK : MESH_HUB_TOO_LONG;
}

/* Printable ASCII, possibly nothing. */
static enum mesh_hub_outcome check_text(const ProtobufCBinaryData *f)
{
	if (f->len > MESH_HUB_TEXT_MAX)
		return MESH_HUB_TOO_LONG;
	for (size_t i = 0; i < f->len; i++) {
		if (f->data[i] < 0x20 || f->data[i] > 0x7e)
			return MESH_HUB_BAD_TEXT;
	}
	return MESH_HUB_OK;
}

static enum mesh_hub_outcome check_name(const ProtobufCBinaryData *f)
{
	if (f->len > MESH_HUB_NAME_MAX)
		return MESH_HUB_TOO_LONG;
	return mesh_hub_name_is_valid((const char *)f->data, f->len) ? MESH_HUB_OK
								     : MESH_HUB_BAD_TEXT;
}

static enum mesh_hub_outcome check_range(uint64_t v, uint64_t min, uint64_t max)
{
	return v >= min && v <= max ? MESH_HUB_OK : MESH_HUB_BAD_NUMBER;
}

static enum mesh_hub_outcome check_id(uint32_t id)
{
	return check_range(id, 1, UINT32_MAX);
}

/* protobuf-c keeps whatever number an enum had on the wire, negative ones too. */
static enum mesh_hub_outcome check_enum(int64_t v, int64_t last)
{
	return v >= 1 && v <= last ? MESH_HUB_OK : MESH_HUB_BAD_NUMBER;
}

/* At least min, at most max prefixes; `hosts`: of full length only. */
static enum mesh_hub_outcome check_prefixes(const ProtobufCBinaryData *f, int min, size_t max,
					    bool hosts)
{
	struct tt_cidr list[MESH_HUB_SUBNETS_MAX];
	int count;

	if (f->len > max * MESH_HUB_PREFIX_BYTES)
		return MESH_HUB_TOO_LONG;
	count = mesh_hub_prefixes_read(f, list, max);
	if (count < min)
		return MESH_HUB_BAD_LIST;
	for (int i = 0; hosts && i < count; i++) {
		if (list[i].bits != (list[i].ip.family == TT_FAMILY_V4 ? 32 : 128))
			return MESH_HUB_BAD_LIST;
	}
	return MESH_HUB_OK;
}

static enum mesh_hub_outcome check_addresses(const ProtobufCBinaryData *f)
{
	return check_prefixes(f, 1, MESH_HUB_ADDRESSES_MAX, true);
}

static enum mesh_hub_outcome check_networks(const ProtobufCBinaryData *f)
{
	return check_prefixes(f, 0, MESH_HUB_NETWORKS_MAX, false);
}

static enum mesh_hub_outcome check_endpoints(const ProtobufCBinaryData *f)
{
	struct tt_endpoint list[MESH_HUB_ENDPOINTS_MAX];

	if (f->len > MESH_HUB_ENDPOINTS_MAX * MESH_HUB_ENDPOINT_BYTES)
		return MESH_HUB_TOO_LONG;
	return mesh_hub_endpoints_read(f, list, MESH_HUB_ENDPOINTS_MAX) > 0 ? MESH_HUB_OK
									    : MESH_HUB_BAD_LIST;
}

static enum mesh_hub_outcome check_names(const ProtobufCBinaryData *f)
{
	char name[MESH_HUB_NAME_TEXT_MAX + 1];
	size_t offset = 0, count = 0;

	while (mesh_hub_names_next(f, &offset, name)) {
		if (++count > MESH_HUB_NAMES_MAX)
			return MESH_HUB_TOO_LONG;
	}
	return count > 0 && offset == f->len ? MESH_HUB_OK : MESH_HUB_BAD_LIST;
}

/* --- messages both ways ------------------------------------------------------------------------
 */

static enum mesh_hub_outcome check_signal(const Taltun__Hub__V1__Signal *m)
{
	require(check_id(m->node_id));
	return check_bytes(&m->sealed, MESH_HUB_SEALED_MAX);
}

/* --- to the hub --------------------------------------------------------------------------------
 */

static enum mesh_hub_outcome check_enroll_proof(const Taltun__Hub__V1__EnrollProof *m)
{
	require(check_fixed(&m->proof, MESH_HUB_PROOF_LEN));
	require(check_bytes(&m->csr, MESH_HUB_CSR_MAX));
	require(check_fixed(&m->wg_public_key, MESH_HUB_KEY_LEN));
	require(check_text(&m->version));
	return check_text(&m->hostname);
}

static enum mesh_hub_outcome check_hello(const Taltun__Hub__V1__Hello *m)
{
	require(check_text(&m->version));
	require(check_range(m->udp_port, 1, UINT16_MAX));
	return check_text(&m->os);
}

enum mesh_hub_outcome mesh_hub_to_hub_check(const Taltun__Hub__V1__ToHub *m)
{
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_START:
		return check_fixed(&m->enroll_start->token_id, MESH_HUB_TOKEN_ID_LEN);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_PROOF:
		return check_enroll_proof(m->enroll_proof);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_HELLO:
		return check_hello(m->hello);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_RENEW:
		return check_bytes(&m->renew->csr, MESH_HUB_CSR_MAX);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_SIGNAL:
		return check_signal(m->signal);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_OPEN:
		return check_id(m->relay_open->node_id);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_CLOSE:
		return check_id(m->relay_close->node_id);
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_MAP_REQUEST:
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_PING:
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_PONG:
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_GOODBYE:
		return MESH_HUB_OK;
	default:
		return MESH_HUB_UNKNOWN;
	}
}

/* --- to the node -------------------------------------------------------------------------------
 */

static enum mesh_hub_outcome check_enrolled(const Taltun__Hub__V1__Enrolled *m)
{
	require(check_bytes(&m->certificate, MESH_HUB_CERT_MAX));
	require(check_bytes(&m->ca_chain, MESH_HUB_CHAIN_MAX));
	require(check_id(m->node_id));
	require(check_name(&m->name));
	require(check_addresses(&m->addresses));
	require(check_networks(&m->networks));
	return check_names(&m->hub_names);
}

static enum mesh_hub_outcome check_welcome(const Taltun__Hub__V1__Welcome *m)
{
	require(check_id(m->node_id));
	require(check_name(&m->name));
	require(check_addresses(&m->addresses));
	require(check_networks(&m->networks));
	require(check_range(m->stun_udp_port, 0, UINT16_MAX));
	require(check_range(m->relay_udp_port, 0, UINT16_MAX));
	require(check_range(m->hub_time_ms, 0, 999));
	return check_range(m->keepalive_s, 0, MESH_HUB_KEEPALIVE_MAX);
}

static enum mesh_hub_outcome check_peer(const Taltun__Hub__V1__Peer *m)
{
	require(check_id(m->node_id));
	require(check_name(&m->name));
	require(check_fixed(&m->wg_public_key, MESH_HUB_KEY_LEN));
	require(check_addresses(&m->addresses));
	require(check_prefixes(&m->subnets, 0, MESH_HUB_SUBNETS_MAX, false));
	require(check_enum(m->role, TALTUN__HUB__V1__ROLE__ROLE_GATEWAY));
	return check_range(m->keepalive_s, 0, MESH_HUB_KEEPALIVE_MAX);
}

static enum mesh_hub_outcome check_map_update(const Taltun__Hub__V1__MapUpdate *m)
{
	require(check_range(m->epoch, 1, UINT64_MAX));
	require(check_range(m->version, 1, UINT64_MAX));
	require(check_range(m->valid_until, 1, UINT64_MAX));
	if (m->n_peers > MESH_HUB_PEERS_MAX || m->n_removed_ids > MESH_HUB_PEERS_MAX)
		return MESH_HUB_TOO_LONG;
	for (size_t i = 0; i < m->n_peers; i++)
		require(check_peer(m->peers[i]));
	for (size_t i = 0; i < m->n_removed_ids; i++)
		require(check_id(m->removed_ids[i]));
	return MESH_HUB_OK;
}

static enum mesh_hub_outcome check_relay_opened(const Taltun__Hub__V1__RelayOpened *m)
{
	require(check_id(m->node_id));
	require(check_range(m->tag, 1, UINT32_MAX));
	require(check_fixed(&m->key, MESH_HUB_KEY_LEN));
	require(check_endpoints(&m->addresses));
	return check_range(m->expires_s, 1, MESH_HUB_LEG_EXPIRY_MAX);
}

static enum mesh_hub_outcome check_refusal(uint32_t node_id, int64_t reason, int64_t last)
{
	require(check_id(node_id));
	return check_enum(reason, last);
}

static enum mesh_hub_outcome check_restarting(const Taltun__Hub__V1__Restarting *m)
{
	require(check_range(m->reconnect_in_ms, 0, MESH_HUB_RESTART_MAX_MS));
	return check_range(m->try_for_ms, 0, MESH_HUB_RESTART_MAX_MS);
}

static enum mesh_hub_outcome check_error(const Taltun__Hub__V1__Error *m)
{
	/* An unknown code is still an error. */
	return check_text(&m->text);
}

/* The messages of enrolment and the map; everything else. */
static enum mesh_hub_outcome check_rare(const Taltun__Hub__V1__ToNode *m)
{
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLL_CHALLENGE:
		return check_fixed(&m->enroll_challenge->nonce, MESH_HUB_NONCE_LEN);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLLED:
		return check_enrolled(m->enrolled);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME:
		return check_welcome(m->welcome);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RENEWED:
		return check_bytes(&m->renewed->certificate, MESH_HUB_CERT_MAX);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RESTARTING:
		return check_restarting(m->restarting);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR:
		return check_error(m->error);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_PING:
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_PONG:
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_GOODBYE:
		return MESH_HUB_OK;
	default:
		return MESH_HUB_UNKNOWN;
	}
}

enum mesh_hub_outcome mesh_hub_to_node_check(const Taltun__Hub__V1__ToNode *m)
{
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE:
		return check_map_update(m->map_update);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL:
		return check_signal(m->signal);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL_FAILED:
		return check_refusal(m->signal_failed->node_id, m->signal_failed->reason,
				     TALTUN__HUB__V1__SIGNAL_FAILURE__SIGNAL_FAILURE_BUSY);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_OPENED:
		return check_relay_opened(m->relay_opened);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_REFUSED:
		return check_refusal(m->relay_refused->node_id, m->relay_refused->reason,
				     TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_DISABLED);
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_CLOSED:
		return check_id(m->relay_closed->node_id);
	default:
		return check_rare(m);
	}
}
