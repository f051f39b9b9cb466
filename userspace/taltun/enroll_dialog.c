/* SPDX-License-Identifier: MIT
 *
 * The dialog of an enrolment: TLS 1.3 to the hub, whose CA must be the token's; the proof that we
 * have the token, which does not cross the wire; and what the hub gives for it. Blocking, with a
 * deadline for every step.
 */
#include "taltun/enroll.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "plat/clock.h"
#include "plat/tcp.h"
#include "tls/session.h"

#define CONNECT_MS 5000
#define ANSWER_MS  15000 /* TLS, and each answer */

struct dialog {
	struct enroll *e;
	int fd;
	struct tls_context *context;
	struct tls_session *tls;
	char where[MESH_TOKEN_HOST_MAX + 64]; /* "host:port (address)" */
	struct tt_mono deadline;
	struct mesh_frame_reader reader;
	struct mesh_hub_arena arena;
	uint8_t reader_buffer[MESH_FRAME_HEADER + MESH_HUB_SMALL_MAX];
	uint8_t arena_memory[MESH_HUB_ARENA_SMALL];
	uint8_t frame[MESH_FRAME_HEADER + MESH_HUB_SMALL_MAX];
};

static const char *const code_hints[] = {
	[TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_TOKEN] =
		"make a new one at the hub: taltun-hub token create --name NAME",
	[TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_CSR] =
		"the hub's policy does not allow such a certificate; ask who runs it",
	[TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_BUSY] = "try again in a minute",
	[TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_INTERNAL] = "the hub's log says more",
	[TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_KEY_IN_USE] =
		"another node has this key; move the key file away, and a new key is made",
};

/* --- the socket --------------------------------------------------------------------------------
 */

/* Waits for the socket until the deadline; false: it has passed. */
static bool wait_for(struct dialog *d, short events)
{
	struct pollfd p = {.fd = d->fd, .events = events};

	for (;;) {
		struct tt_mono now = plat_clock_mono();
		if (!tt_mono_before(now, d->deadline))
			return false;
		int ms = (int)(tt_mono_since(d->deadline, now) / TT_NS_PER_MS) + 1;
		int n = poll(&p, 1, ms);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static void begin(struct dialog *d, unsigned ms)
{
	d->deadline = tt_mono_add_ns(plat_clock_mono(), ms * TT_NS_PER_MS);
}

/* 0 or errno. */
static int connect_to(struct dialog *d, const struct addrinfo *a)
{
	socklen_t len = sizeof(int);
	int err = 0;

	d->fd = plat_tcp_socket(a->ai_family == AF_INET6 ? TT_FAMILY_V6 : TT_FAMILY_V4, 0);
	if (d->fd < 0)
		return -d->fd;
	begin(d, CONNECT_MS);
	if (connect(d->fd, a->ai_addr, a->ai_addrlen) < 0) {
		err = errno;
		if (err == EINPROGRESS) {
			err = ETIMEDOUT;
			if (wait_for(d, POLLOUT) &&
			    getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
				err = errno;
		}
	}
	if (err) {
		close(d->fd);
		d->fd = -1;
	}
	return err;
}

static void set_where(struct dialog *d, const char *host, uint16_t tcp_port,
		      const struct addrinfo *a)
{
	char ip[64] = "?";

	getnameinfo(a->ai_addr, a->ai_addrlen, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST);
	if (strcmp(ip, host) == 0)
		snprintf(d->where, sizeof(d->where), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
			 tcp_port);
	else
		snprintf(d->where, sizeof(d->where), "%s:%u (%s)", host, tcp_port, ip);
}

static bool dial(struct dialog *d)
{
	struct enroll *e = d->e;
	const char *host = e->at.host[0] ? e->at.host : e->token.host;
	uint16_t tcp_port = e->at.host[0] ? e->at.tcp_port : e->token.tcp_port;
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char service[8];
	int err;

	snprintf(service, sizeof(service), "%u", tcp_port);
	int rc = getaddrinfo(host, service, &hint, &list);
	if (rc)
		return enroll_fail(e,
				   "cannot find the hub: %s: %s; look whether the name is right, "
				   "or give an address with --hub-address",
				   host, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		set_where(d, host, tcp_port, a);
		enroll_step(e, "connecting to %s", d->where);
		err = connect_to(d, a);
		if (!err) {
			freeaddrinfo(list);
			return true;
		}
		enroll_fail(e,
			    "cannot reach the hub at %s: %s; look whether `taltun-hub serve` "
			    "runs there and TCP port %u is open",
			    d->where, strerror(err), tcp_port);
	}
	freeaddrinfo(list);
	return false;
}

/* --- TLS ---------------------------------------------------------------------------------------
 */

static bool push_out(struct dialog *d)
{
	uint8_t buf[16384];
	size_t n;

	while ((n = tls_session_output(d->tls, buf, sizeof(buf))) > 0)
		for (size_t off = 0; off < n;) {
			ssize_t sent = send(d->fd, buf + off, n - off, MSG_NOSIGNAL);
			if (sent > 0)
				off += (size_t)sent;
			else if (sent < 0 && errno != EAGAIN && errno != EINTR)
				return false;
			else if (!wait_for(d, POLLOUT))
				return false;
		}
	return true;
}

/* More bytes into TLS. False: late, or the connection has ended. */
static bool pull_in(struct dialog *d)
{
	uint8_t buf[16384];
	ssize_t n;

	do {
		if (!wait_for(d, POLLIN))
			return false;
		n = recv(d->fd, buf, sizeof(buf), 0);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n <= 0)
		return false;
	tls_session_feed(d->tls, buf, (size_t)n);
	return push_out(d);
}

static bool fail_clock(struct enroll *e, const char *where, const char *what)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64] = "?";

	if (gmtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return enroll_fail(e, "%s: %s; this machine's clock says %s: set it if that is wrong",
			   where, what, text);
}

static bool fail_tls(struct dialog *d)
{
	struct enroll *e = d->e;
	enum tls_failure why = tls_session_failure(d->tls);

	switch (why) {
	case TLS_FAIL_UNTRUSTED:
		return enroll_fail(e,
				   "%s is not the hub of this token: its CA has another "
				   "fingerprint; nothing was told to it. Ask for a new token, or "
				   "look who answers there",
				   d->where);
	case TLS_FAIL_EXPIRED:
		return fail_clock(e, d->where, "the hub's certificate has expired");
	case TLS_FAIL_NOT_YET:
		return fail_clock(e, d->where, "the hub's certificate is not valid yet");
	case TLS_FAIL_NAME:
		return enroll_fail(e,
				   "%s: the certificate there is not for %s; the token's line may "
				   "be damaged, or the name leads elsewhere",
				   d->where, e->token.host);
	case TLS_FAIL_NONE:
		return enroll_fail(e,
				   "%s does not go on with the TLS handshake; look whether that "
				   "is the hub, and what lies between",
				   d->where);
	default:
		return enroll_fail(e, "%s: %s; look whether that is a taltun hub", d->where,
				   tls_failure_text(why));
	}
}

static bool secure(struct dialog *d)
{
	const struct tls_context_options opt = {.ca_key_hash = d->e->token.ca_fingerprint};
	char text[256];

	enroll_step(d->e, "checking that it is the hub of the token");
	if (tls_context_create(&opt, &d->context) != 0 ||
	    tls_session_create(d->context, d->e->token.host, &d->tls) != 0)
		return enroll_fail(d->e, "cannot begin with TLS: %s",
				   tls_error(text, sizeof(text)));
	begin(d, ANSWER_MS);
	tls_session_feed(d->tls, NULL, 0);
	bool ok = push_out(d);
	while (ok && tls_session_state(d->tls) == TLS_HANDSHAKE)
		ok = pull_in(d);
	if (tls_session_state(d->tls) == TLS_OPEN)
		return true;
	return fail_tls(d);
}

/* --- messages ----------------------------------------------------------------------------------
 */

static bool say(struct dialog *d, const Taltun__Hub__V1__ToHub *m)
{
	size_t len;

	begin(d, ANSWER_MS);
	if (mesh_hub_to_hub_pack(m, d->frame, sizeof(d->frame), &len) != MESH_HUB_OK)
		return enroll_fail(d->e, "cannot put the request together");
	if (tls_session_write(d->tls, d->frame, len) && push_out(d))
		return true;
	return enroll_fail(d->e, "%s has closed the connection; the hub's log says why", d->where);
}

static bool fail_answer(struct dialog *d)
{
	bool late = !tt_mono_before(plat_clock_mono(), d->deadline);

	return enroll_fail(d->e,
			   late ? "%s does not answer within 15 s; try again"
				: "%s has closed the connection; the hub's log says why",
			   d->where);
}

static bool fail_refused(struct dialog *d, const Taltun__Hub__V1__Error *m)
{
	const char *hint = "";
	char text[MESH_HUB_TEXT_MAX + 1];

	if ((size_t)m->code < TT_ARRAY_LEN(code_hints) && code_hints[m->code])
		hint = code_hints[m->code];
	mesh_hub_text_copy(text, sizeof(text), &m->text);
	return enroll_fail(d->e, "%s has refused: %s%s%s", d->where,
			   *text ? text : "it does not say why", *hint ? "; " : "", hint);
}

/* The next message, which must be of this kind; NULL with the error set. */
static const Taltun__Hub__V1__ToNode *hear(struct dialog *d,
					   Taltun__Hub__V1__ToNode__MessageCase want)
{
	static uint8_t plain[16384];
	const Taltun__Hub__V1__ToNode *m = NULL;
	enum mesh_frame_status st;
	struct mesh_frame f;

	while ((st = mesh_frame_reader_next(&d->reader, &f)) == MESH_FRAME_MORE) {
		size_t n = tls_session_read(d->tls, plain, sizeof(plain));
		if (n) {
			mesh_frame_reader_feed(&d->reader, plain, n);
		} else if (tls_session_state(d->tls) != TLS_OPEN || !pull_in(d)) {
			/* what came with the end is still to be read */
			n = tls_session_read(d->tls, plain, sizeof(plain));
			if (!n) {
				fail_answer(d);
				return NULL;
			}
			mesh_frame_reader_feed(&d->reader, plain, n);
		}
	}
	if (st != MESH_FRAME_READY ||
	    mesh_hub_to_node_unpack(&d->arena, f.body, f.len, &m) != MESH_HUB_OK ||
	    (m->message_case != want &&
	     m->message_case != TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR)) {
		enroll_fail(d->e,
			    "%s answers with something else than this version of taltun "
			    "expects; update the older of the two",
			    d->where);
		return NULL;
	}
	if (m->message_case == want)
		return m;
	fail_refused(d, m->error);
	return NULL;
}

static bool start(struct dialog *d, uint8_t nonce[MESH_TOKEN_NONCE_LEN])
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__EnrollStart s = TALTUN__HUB__V1__ENROLL_START__INIT;

	enroll_step(d->e, "showing the token");
	s.token_id = mesh_hub_bytes(d->e->token.id, sizeof(d->e->token.id));
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_START;
	m.enroll_start = &s;
	if (!say(d, &m))
		return false;
	const Taltun__Hub__V1__ToNode *in =
		hear(d, TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLL_CHALLENGE);
	if (in)
		memcpy(nonce, in->enroll_challenge->nonce.data, MESH_TOKEN_NONCE_LEN);
	return in != NULL;
}

/* The machine's name as the hub takes text: printable ASCII, or nothing. */
static void own_hostname(char out[MESH_HUB_TEXT_MAX + 1])
{
	if (gethostname(out, MESH_HUB_TEXT_MAX) != 0)
		out[0] = 0;
	out[MESH_HUB_TEXT_MAX] = 0;
	for (const char *p = out; *p; p++)
		if (*p < ' ' || *p > '~') {
			out[0] = 0;
			return;
		}
}

static bool prove(struct dialog *d, const uint8_t nonce[MESH_TOKEN_NONCE_LEN])
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__EnrollProof p = TALTUN__HUB__V1__ENROLL_PROOF__INIT;
	uint8_t exporter[MESH_TOKEN_EXPORTER_LEN], public_key[TT_KEY_LEN], csr_hash[TLS_HASH_LEN];
	uint8_t proof[MESH_TOKEN_PROOF_LEN];
	char hostname[MESH_HUB_TEXT_MAX + 1];
	struct mesh_token_claim claim = {nonce, exporter, public_key, csr_hash};
	struct tls_der csr;

	enroll_step(d->e, "asking for a certificate");
	if (tls_csr_create(&d->e->key, &csr) != 0 || !tls_sha256(csr.bytes, csr.len, csr_hash) ||
	    !tls_session_export(d->tls, MESH_TOKEN_EXPORTER_LABEL, exporter, sizeof(exporter)))
		return enroll_fail(d->e, "cannot make the certificate request");
	crypto_x25519_base(public_key, d->e->private_key);
	mesh_token_proof(proof, d->e->token.secret, &claim);
	own_hostname(hostname);
	p.proof = mesh_hub_bytes(proof, sizeof(proof));
	p.csr = mesh_hub_bytes(csr.bytes, csr.len);
	p.wg_public_key = mesh_hub_bytes(public_key, sizeof(public_key));
	p.version = mesh_hub_text(TALTUN_VERSION);
	p.hostname = mesh_hub_text(hostname);
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_PROOF;
	m.enroll_proof = &p;
	bool ok = say(d, &m);
	crypto_wipe(exporter, sizeof(exporter));
	return ok;
}

/* --- what the hub gives --------------------------------------------------------------------------
 */

static bool fail_given(struct dialog *d, const char *what)
{
	return enroll_fail(d->e,
			   "%s has enrolled this node, but %s; revoke the node there "
			   "(taltun-hub node revoke) and try again with a new token",
			   d->where, what);
}

static bool take_certificate(struct dialog *d, const Taltun__Hub__V1__Enrolled *m)
{
	struct enroll_result *r = &d->e->result;
	uint8_t public_key[TT_KEY_LEN];

	crypto_x25519_base(public_key, d->e->private_key);
	if (m->certificate.len > sizeof(r->cert.bytes) || !tls_session_peer_ca(d->tls, &r->ca))
		return fail_given(d, "its certificate is too long");
	memcpy(r->cert.bytes, m->certificate.data, m->certificate.len);
	r->cert.len = (uint32_t)m->certificate.len;
	if (tls_cert_parse(r->cert.bytes, r->cert.len, &r->info) != 0 ||
	    r->info.role != TLS_CERT_NODE)
		return fail_given(d, "what it gave is no node's certificate");
	if (!tls_cert_signed_by(&r->cert, &r->ca))
		return fail_given(d, "the certificate is signed by another CA than the token's");
	if (!tls_cert_has_key(&r->cert, &d->e->key) || !r->info.has_wg_key ||
	    !crypto_equal(r->info.wg_public_key, public_key, sizeof(public_key)))
		return fail_given(d, "the certificate is for other keys than ours");
	mesh_hub_text_copy(r->name, sizeof(r->name), &m->name);
	return strcmp(r->name, r->info.name) == 0 ||
	       fail_given(d, "the certificate is for another name");
}

static bool take(struct dialog *d, const Taltun__Hub__V1__Enrolled *m)
{
	struct enroll_result *r = &d->e->result;

	if (!take_certificate(d, m))
		return false;
	r->node_id = m->node_id;
	int n = mesh_hub_prefixes_read(&m->addresses, r->addresses, TT_ARRAY_LEN(r->addresses));
	int networks = mesh_hub_prefixes_read(&m->networks, r->networks, TT_ARRAY_LEN(r->networks));
	if (n < 1 || networks < 0)
		return fail_given(d, "it gave no address");
	r->address_count = (unsigned)n;
	for (int i = 0; i < networks; i++) {
		/* nobody gave the hub leave to take all traffic */
		if (r->networks[i].bits == 0)
			return fail_given(d, "it wants a default route as its network");
	}
	r->network_count = (unsigned)networks;
	return true;
}

static bool talk(struct dialog *d)
{
	uint8_t nonce[MESH_TOKEN_NONCE_LEN];

	if (!dial(d) || !secure(d) || !start(d, nonce) || !prove(d, nonce))
		return false;
	const Taltun__Hub__V1__ToNode *in = hear(d, TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLLED);
	return in && take(d, in->enrolled);
}

bool enroll_dialog(struct enroll *e)
{
	struct dialog *d = calloc(1, sizeof(*d));

	if (!d)
		return enroll_fail(e, "out of memory");
	d->e = e;
	d->fd = -1;
	mesh_frame_reader_init(&d->reader, d->reader_buffer, sizeof(d->reader_buffer),
			       MESH_HUB_SMALL_MAX, 0);
	mesh_hub_arena_init(&d->arena, d->arena_memory, sizeof(d->arena_memory));
	bool ok = talk(d);
	if (d->tls) {
		tls_session_close(d->tls);
		if (ok)
			push_out(d);
		tls_session_destroy(d->tls);
	}
	tls_context_destroy(d->context);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
	return ok;
}
