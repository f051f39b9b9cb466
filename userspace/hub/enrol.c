/* SPDX-License-Identifier: MIT
 *
 * Enrolment and renewal: a token is proved, the signer signs, the store decides who has won.
 *
 * The certificate is signed before the store's transaction, and leaves the hub only after it: of
 * two that show the same token at the same time one gets a node, and the certificate of the other
 * is thrown away.
 */
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "hub/server_impl.h"
#include "plat/clock.h"

#define CLOCK_SLACK_S 300 /* a node's clock may be behind */

static void refuse(struct hub_session *e, Taltun__Hub__V1__ErrorCode code, const char *text)
{
	tt_log_limited(TT_LOG_WARN, "enrol.refused", text, plat_clock_mono(), HUB_LOG_LINES_PER_S,
		       TT_F_ENDPOINT("from", hub_conn_source(e->conn)), TT_F_STR("why", text));
	hub_session_refuse(e, code, text, HUB_CLOSE_REFUSED);
}

void hub_enrol_forget(struct hub_session *e)
{
	if (!e->enrolment)
		return;
	crypto_wipe(e->enrolment, sizeof(*e->enrolment));
	free(e->enrolment);
	e->enrolment = NULL;
}

/* --- the token -------------------------------------------------------------------------------- */

static void challenge(struct hub_session *e)
{
	Taltun__Hub__V1__ToNode m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__EnrollChallenge c = TALTUN__HUB__V1__ENROLL_CHALLENGE__INIT;

	RAND_bytes(e->enrolment->nonce, sizeof(e->enrolment->nonce));
	c.nonce = mesh_hub_bytes(e->enrolment->nonce, sizeof(e->enrolment->nonce));
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLL_CHALLENGE;
	m.enroll_challenge = &c;
	e->state = HUB_SESSION_CHALLENGED;
	hub_conn_expect(e->conn, true);
	hub_session_send(e, &m);
}

static void on_token(void *ctx, uint64_t cookie, enum hub_db_outcome o, struct hub_db_token *t)
{
	struct hub_server *s = ctx;
	struct hub_session *e = hub_session_by_cookie(s, cookie);

	if (!e || e->state != HUB_SESSION_TOKEN)
		return;
	/* who guesses is not told what a token's trouble is before he has proved that he has it;
	 * an unknown one is challenged as well, and fails at the proof */
	if (o == HUB_DB_OK)
		e->enrolment->token = *t;
	else
		RAND_bytes(e->enrolment->token.secret, sizeof(e->enrolment->token.secret));
	challenge(e);
}

void hub_enrol_start(struct hub_session *e, const Taltun__Hub__V1__EnrollStart *m)
{
	struct hub_server *s = e->server;

	e->enrolment = calloc(1, sizeof(*e->enrolment));
	e->state = HUB_SESSION_TOKEN;
	if (!e->enrolment ||
	    !hub_store_find_token(s->store, m->token_id.data, on_token, s, e->cookie))
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_BUSY,
		       "too much to do; try later");
}

/* --- the proof -------------------------------------------------------------------------------- */

static bool proved(struct hub_session *e, const Taltun__Hub__V1__EnrollProof *m)
{
	uint8_t exporter[MESH_TOKEN_EXPORTER_LEN], csr_hash[32];
	struct mesh_token_claim claim = {.nonce = e->enrolment->nonce,
					 .exporter = exporter,
					 .wg_public_key = m->wg_public_key.data,
					 .csr_sha256 = csr_hash};

	return hub_conn_export(e->conn, MESH_TOKEN_EXPORTER_LABEL, exporter, sizeof(exporter)) &&
	       tls_sha256(m->csr.data, m->csr.len, csr_hash) &&
	       mesh_token_proof_check(m->proof.data, e->enrolment->token.secret, &claim);
}

static void enrolled(struct hub_session *e, const struct hub_node_facts *node)
{
	struct hub_server *s = e->server;
	Taltun__Hub__V1__ToNode m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Enrolled r = TALTUN__HUB__V1__ENROLLED__INIT;
	uint8_t addresses[MESH_HUB_ADDRESSES_MAX * MESH_HUB_PREFIX_BYTES];
	uint8_t names[MESH_TOKEN_HOST_MAX + 1];
	uint8_t networks[MESH_HUB_NETWORKS_MAX * MESH_HUB_PREFIX_BYTES];
	struct tt_cidr list[MESH_HUB_ADDRESSES_MAX] = {0};
	size_t used = 0;

	for (unsigned i = 0; i < node->address_count; i++) {
		list[i].ip = node->addresses[i];
		list[i].bits = list[i].ip.family == TT_FAMILY_V4 ? 32 : 128;
	}
	mesh_hub_names_append(names, sizeof(names), &used, s->opt.settings.name);
	r.certificate = mesh_hub_bytes(e->enrolment->cert.bytes, e->enrolment->cert.len);
	r.ca_chain = mesh_hub_bytes(s->opt.ca.bytes, s->opt.ca.len);
	r.node_id = node->id;
	r.name = mesh_hub_text(node->name);
	r.addresses =
		mesh_hub_bytes(addresses, mesh_hub_prefixes_write(addresses, sizeof(addresses),
								  list, node->address_count));
	r.hub_names = mesh_hub_bytes(names, used);
	r.networks = mesh_hub_bytes(networks, hub_session_networks(s, networks, sizeof(networks)));
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLLED;
	m.enrolled = &r;
	e->state = HUB_SESSION_ENROLLED;
	hub_conn_expect(e->conn, true);
	hub_session_send(e, &m);
	hub_enrol_forget(e);
}

static void on_stored(void *ctx, uint64_t cookie, enum hub_db_outcome o,
		      struct hub_node_facts *node)
{
	struct hub_server *s = ctx;
	struct hub_session *e = hub_session_by_cookie(s, cookie);
	struct hub_node_facts copy = *node;

	/* the node exists now, whoever is still there to hear of it */
	if (o == HUB_DB_OK) {
		if (hub_registry_put(s->registry, node) != 0)
			tt_log(TT_LOG_ERROR, "enrol.registry_failed", TT_F_STR("node", copy.name));
		s->stats.enrolled++;
		tt_log_limited(TT_LOG_INFO, "enrol.done", NULL, plat_clock_mono(),
			       HUB_LOG_LINES_PER_S, TT_F_STR("node", copy.name),
			       TT_F_U64("id", copy.id));
		hub_server_changed(s);
	}
	if (!e || e->state != HUB_SESSION_ENROLLING)
		return;
	if (o == HUB_DB_OK) {
		enrolled(e, &copy);
		return;
	}
	s->stats.enrol_refused_other++;
	refuse(e,
	       o == HUB_DB_EXISTS ? TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_KEY_IN_USE
	       : o == HUB_DB_TOKEN_USED || o == HUB_DB_TOKEN_EXPIRED || o == HUB_DB_NOT_FOUND
		       ? TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_TOKEN
		       : TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_INTERNAL,
	       hub_db_outcome_text(o));
}

static void on_signed(void *ctx, uint64_t cookie, enum hub_sign_outcome o,
		      const struct tls_der *cert)
{
	struct hub_server *s = ctx;
	struct hub_session *e = hub_session_by_cookie(s, cookie);

	if (!e || e->state != HUB_SESSION_SIGNING)
		return;
	if (o != HUB_SIGN_OK) {
		s->stats.enrol_refused_other++;
		refuse(e,
		       o == HUB_SIGN_FAILED ? TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_INTERNAL
					    : TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_CSR,
		       o == HUB_SIGN_FAILED ? "the hub cannot sign"
					    : "the certificate request is not within policy");
		return;
	}
	struct hub_enrolment *n = e->enrolment;
	struct tls_cert_info info;
	struct hub_db_enrolment write = {.version = n->version, .hostname = n->hostname};

	n->cert = *cert;
	if (tls_cert_parse(cert->bytes, cert->len, &info) != 0) {
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_INTERNAL, "the hub cannot sign");
		return;
	}
	memcpy(write.token_id, n->token.id, sizeof(write.token_id));
	memcpy(write.wg_public_key, n->wg_public_key, 32);
	memcpy(write.cert_serial, info.serial, sizeof(write.cert_serial));
	write.cert_serial_len = info.serial_len;
	write.cert_until_s = info.not_after_s;
	write.now_s = hub_wall_s();
	e->state = HUB_SESSION_ENROLLING;
	if (!hub_store_enroll(s->store, &write, on_stored, s, e->cookie))
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_BUSY,
		       "too much to do; try later");
}

static void fill_request(const struct hub_server *s, struct hub_sign_request *r, const char *name,
			 const uint8_t wg_public_key[32], const ProtobufCBinaryData *csr)
{
	uint64_t now = hub_wall_s();

	memset(r, 0, sizeof(*r));
	memcpy(r->name, name, strlen(name) + 1);
	memcpy(r->wg_public_key, wg_public_key, 32);
	r->csr_len = (uint32_t)csr->len;
	memcpy(r->csr, csr->data, csr->len);
	r->not_before_s = now - CLOCK_SLACK_S;
	r->not_after_s = now + (uint64_t)s->opt.node_cert_days * 86400;
	RAND_bytes(r->serial, sizeof(r->serial));
}

void hub_enrol_proof(struct hub_session *e, const Taltun__Hub__V1__EnrollProof *m)
{
	struct hub_server *s = e->server;
	struct hub_enrolment *n = e->enrolment;
	bool known = n->token.name[0] != 0;

	if (!proved(e, m) || !known) {
		s->stats.enrol_refused_proof++;
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_TOKEN,
		       "the token is unknown, or the proof is wrong");
		return;
	}
	if (n->token.used_s || n->token.expires_s <= hub_wall_s()) {
		s->stats.enrol_refused_token++;
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_TOKEN,
		       n->token.used_s ? "the token was used already" : "the token has expired");
		return;
	}
	if (m->csr.len > TLS_CERT_CSR_MAX) {
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_CSR,
		       "the certificate request is too long");
		return;
	}
	memcpy(n->wg_public_key, m->wg_public_key.data, 32);
	mesh_hub_text_copy(n->version, sizeof(n->version), &m->version);
	mesh_hub_text_copy(n->hostname, sizeof(n->hostname), &m->hostname);
	fill_request(s, &n->sign, n->token.name, n->wg_public_key, &m->csr);
	e->state = HUB_SESSION_SIGNING;
	if (!hub_signer_sign(s->opt.signer, &n->sign, on_signed, s, e->cookie))
		refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_BUSY,
		       "too much to do; try later");
}

/* --- renewal ---------------------------------------------------------------------------------- */

static void on_renewed(void *ctx, uint64_t cookie, enum hub_sign_outcome o,
		       const struct tls_der *cert)
{
	struct hub_server *s = ctx;
	struct hub_session *e = hub_session_by_cookie(s, cookie);
	Taltun__Hub__V1__ToNode m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Renewed r = TALTUN__HUB__V1__RENEWED__INIT;
	struct tls_cert_info info;

	if (!e || e->state != HUB_SESSION_UP)
		return;
	e->renewing = false;
	if (o != HUB_SIGN_OK || tls_cert_parse(cert->bytes, cert->len, &info) != 0) {
		tt_log_limited(TT_LOG_WARN, "renew.failed", NULL, plat_clock_mono(), 4,
			       TT_F_STR("node", e->node->is.name));
		return;
	}
	s->stats.renewed++;
	hub_store_renewed(s->store, e->node->is.id, info.serial, info.serial_len, info.not_after_s);
	r.certificate = mesh_hub_bytes(cert->bytes, cert->len);
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_RENEWED;
	m.renewed = &r;
	hub_session_send(e, &m);
}

void hub_enrol_renew(struct hub_session *e, const Taltun__Hub__V1__Renew *m)
{
	struct hub_server *s = e->server;
	struct hub_sign_request r;

	if (e->renewing || m->csr.len > TLS_CERT_CSR_MAX)
		return;
	fill_request(s, &r, e->node->is.name, e->node->is.wg_public_key, &m->csr);
	e->renewing = hub_signer_sign(s->opt.signer, &r, on_renewed, s, e->cookie);
}
