/* SPDX-License-Identifier: MIT */
#include "mesh/stun_client.h"

#include "mesh/address.h"
#include "mesh/stun_write.h"

enum {
	RTO_MS = 500,
	RC = 7,
	RM = 16,
	RTO_MAX_MS = 60000,
	DOUBLINGS_MAX = 16, /* more would be days */
};

static void fail(struct mesh_stun_client *c, enum mesh_stun_failure failure)
{
	c->state = MESH_STUN_CLIENT_FAILED;
	c->failure = failure;
	c->deadline = (struct tt_mono){0};
}

static struct tt_endpoint normalised(const struct tt_endpoint *e)
{
	return (struct tt_endpoint){mesh_address_normalise(&e->ip), e->udp_port, 0};
}

bool mesh_stun_client_start(struct mesh_stun_client *c, const struct tt_endpoint *server,
			    const struct mesh_stun_self *self, const struct mesh_stun_id *id,
			    const struct mesh_stun_timing *timing, struct tt_mono now)
{
	*c = (struct mesh_stun_client){.server = normalised(server), .id = *id, .deadline = now};
	if (timing)
		c->timing = *timing;
	c->timing.rto_ms = c->timing.rto_ms ? TT_MIN(c->timing.rto_ms, RTO_MAX_MS) : RTO_MS;
	c->timing.rc = c->timing.rc ? c->timing.rc : RC;
	c->timing.rm = c->timing.rm ? c->timing.rm : RM;
	c->state = MESH_STUN_CLIENT_WAITING;
	if (!mesh_address_is_target(&c->server) ||
	    mesh_address_is_own(&c->server, self->ip, self->count, self->udp_port)) {
		fail(c, MESH_STUN_FAILURE_SERVER);
		return false;
	}
	return true;
}

struct tt_mono mesh_stun_client_deadline(const struct mesh_stun_client *c)
{
	return c->deadline;
}

/* How long an answer to the request just sent is waited for. */
static uint64_t wait_ns(const struct mesh_stun_client *c)
{
	uint64_t factor = c->sent < c->timing.rc
				  ? UINT64_C(1) << TT_MIN(c->sent - 1, (unsigned)DOUBLINGS_MAX)
				  : c->timing.rm;

	return c->timing.rto_ms * factor * TT_NS_PER_MS;
}

size_t mesh_stun_client_tick(struct mesh_stun_client *c, uint8_t *out, size_t cap,
			     struct tt_mono now)
{
	struct mesh_stun_writer w;

	if (c->state != MESH_STUN_CLIENT_WAITING || tt_mono_before(now, c->deadline))
		return 0;
	if (c->sent == c->timing.rc) {
		fail(c, MESH_STUN_FAILURE_TIMEOUT);
		return 0;
	}
	c->sent++;
	c->last_sent = now;
	c->deadline = tt_mono_add_ns(now, wait_ns(c));
	mesh_stun_write_begin(&w, out, cap, MESH_STUN_REQUEST, MESH_STUN_BINDING, &c->id);
	mesh_stun_write_fingerprint(&w);
	return mesh_stun_write_end(&w);
}

/*
 * A server that says where it is itself, or names an address that nobody else can use, is broken or
 * wants us to talk to something that it cannot reach.
 */
static bool is_believable(const struct mesh_stun_client *c, const struct tt_endpoint *mapped)
{
	return mesh_address_is_target(mapped) && !tt_endpoint_equal(mapped, &c->server);
}

static void take_success(struct mesh_stun_client *c, const struct mesh_stun_msg *m,
			 struct tt_mono now)
{
	struct tt_endpoint mapped;

	/* the plain form is what servers of old send; a NAT may have rewritten it */
	if (!mesh_stun_get_address(m, MESH_STUN_XOR_MAPPED_ADDRESS, &mapped) &&
	    !mesh_stun_get_address(m, MESH_STUN_MAPPED_ADDRESS, &mapped)) {
		fail(c, MESH_STUN_FAILURE_RESULT);
		return;
	}
	if (!is_believable(c, &mapped)) {
		fail(c, MESH_STUN_FAILURE_RESULT);
		return;
	}
	c->state = MESH_STUN_CLIENT_DONE;
	c->deadline = (struct tt_mono){0};
	c->reflexive = mapped;
	c->rtt_ns = c->sent == 1 ? tt_mono_since(now, c->last_sent) : 0;
}

static bool is_answer(const struct mesh_stun_client *c, const struct mesh_stun_msg *m)
{
	return (m->class == MESH_STUN_SUCCESS || m->class == MESH_STUN_ERROR) &&
	       m->method == MESH_STUN_BINDING && mesh_stun_id_equal(&m->id, &c->id);
}

enum tt_drop mesh_stun_client_receive(struct mesh_stun_client *c, const struct tt_endpoint *source,
				      const uint8_t *bytes, size_t len, struct tt_mono now)
{
	struct tt_endpoint from = normalised(source);
	struct mesh_stun_msg m;

	/* before a request is out, nobody can know its id */
	if (c->state != MESH_STUN_CLIENT_WAITING || c->sent == 0 ||
	    !tt_endpoint_equal(&from, &c->server))
		return TT_DROP_STUN_UNEXPECTED;
	enum tt_drop drop = mesh_stun_parse(&m, bytes, len);
	if (drop != TT_DROP_NONE)
		return drop;
	if (!is_answer(c, &m))
		return TT_DROP_STUN_UNEXPECTED;
	if (m.unknown_count > 0) {
		fail(c, MESH_STUN_FAILURE_UNKNOWN);
	} else if (m.class == MESH_STUN_ERROR) {
		c->error_code = mesh_stun_get_error(&m);
		fail(c, MESH_STUN_FAILURE_REFUSED);
	} else {
		take_success(c, &m, now);
	}
	return TT_DROP_NONE;
}

const char *mesh_stun_failure_text(enum mesh_stun_failure failure)
{
	switch (failure) {
	case MESH_STUN_FAILURE_NONE:
		return "none";
	case MESH_STUN_FAILURE_SERVER:
		return "loopback, link-local and multicast addresses are not asked";
	case MESH_STUN_FAILURE_TIMEOUT:
		return "no answer";
	case MESH_STUN_FAILURE_REFUSED:
		return "the server refused";
	case MESH_STUN_FAILURE_UNKNOWN:
		return "the answer demands an extension that is not known";
	case MESH_STUN_FAILURE_RESULT:
		return "the answer has no usable address";
	}
	return "none";
}
