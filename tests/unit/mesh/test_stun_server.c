/* SPDX-License-Identifier: MIT */
#include "mesh/stun_server.h"

#include "base/rng.h"
#include "mesh/stun_write.h"
#include "stun_vectors.h"

static const struct mesh_stun_id id = {{9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4}};
static uint8_t request[2048], response[MESH_STUN_RESPONSE_MAX];
static size_t response_len;
static struct mesh_stun_writer w;
static struct mesh_stun_msg m;

static struct tt_endpoint endpoint(const char *text)
{
	struct tt_endpoint e;

	tt_assert(tt_endpoint_parse(text, &e) == 0);
	return e;
}

static void begin(enum mesh_stun_class class, unsigned method)
{
	mesh_stun_write_begin(&w, request, sizeof(request), class, method, &id);
}

static enum tt_drop serve(const char *source)
{
	struct tt_endpoint e = endpoint(source);

	return mesh_stun_serve(response, &response_len, request, mesh_stun_write_end(&w), &e);
}

static bool response_is(enum mesh_stun_class class)
{
	return mesh_stun_parse(&m, response, response_len) == TT_DROP_NONE && m.class == class &&
	       m.method == MESH_STUN_BINDING && mesh_stun_id_equal(&m.id, &id);
}

static bool mapped_is(const char *text)
{
	struct tt_endpoint got, want = endpoint(text);

	return mesh_stun_get_address(&m, MESH_STUN_XOR_MAPPED_ADDRESS, &got) &&
	       tt_endpoint_equal(&got, &want);
}

static void tells_the_source(void)
{
	static const char *const sources[] = {"203.0.113.5:40000", "[2001:db8::9]:1",
					      "127.0.0.1:9",	   "10.1.2.3:65535",
					      "[fe80::1]:77",	   "100.64.3.4:5"};

	for (size_t i = 0; i < TT_ARRAY_LEN(sources); i++) {
		begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
		CU_ASSERT_EQUAL(serve(sources[i]), TT_DROP_NONE);
		CU_ASSERT_TRUE(response_is(MESH_STUN_SUCCESS));
		CU_ASSERT_TRUE(mapped_is(sources[i]));
		CU_ASSERT_FALSE(m.has_fingerprint);
		CU_ASSERT_EQUAL(m.attr_count, 1);
		begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
		mesh_stun_write_fingerprint(&w);
		CU_ASSERT_EQUAL(serve(sources[i]), TT_DROP_NONE);
		CU_ASSERT_TRUE(response_is(MESH_STUN_SUCCESS));
		CU_ASSERT_TRUE(mapped_is(sources[i]));
		CU_ASSERT_TRUE(m.has_fingerprint);
	}
}

/* What an IPv6 socket says of an IPv4 client is answered as IPv4. */
static void mapped_source(void)
{
	struct tt_endpoint e = {
		{.family = TT_FAMILY_V6, .b = {[10] = 0xff, 0xff, 192, 0, 2, 1}}, 700, 0};

	begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
	CU_ASSERT_EQUAL(mesh_stun_serve(response, &response_len, request, w.len, &e), TT_DROP_NONE);
	CU_ASSERT_TRUE(response_is(MESH_STUN_SUCCESS));
	CU_ASSERT_TRUE(mapped_is("192.0.2.1:700"));
}

static void case_24_unknown_required(void)
{
	for (uint16_t n = 1; n <= 12; n++) {
		begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
		mesh_stun_write_attr(&w, MESH_STUN_SOFTWARE, "tests", 5);
		for (uint16_t i = 0; i < n; i++)
			mesh_stun_write_attr(&w, 0x0200 + i, NULL, 0);
		CU_ASSERT_EQUAL(serve("203.0.113.5:40000"), TT_DROP_NONE);
		CU_ASSERT_TRUE(response_is(MESH_STUN_ERROR));
		CU_ASSERT_EQUAL(mesh_stun_get_error(&m), 420);
		const struct mesh_stun_attr *a = mesh_stun_find(&m, MESH_STUN_UNKNOWN_ATTRIBUTES);
		unsigned listed = TT_MIN(n, MESH_STUN_UNKNOWN_MAX);
		CU_ASSERT_FATAL(a && a->len == 2 * listed);
		for (unsigned i = 0; i < listed; i++)
			CU_ASSERT_EQUAL(tt_load_be16(a->value + 2 * i), 0x0200 + i);
		CU_ASSERT_PTR_NULL(mesh_stun_find(&m, MESH_STUN_XOR_MAPPED_ADDRESS));
	}
}

static void optional_and_credentials_do_not_matter(void)
{
	begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
	mesh_stun_write_attr(&w, 0x8029, "12345678", 8);
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, "whoever", 7);
	mesh_stun_write_attr(&w, MESH_STUN_REALM, "wherever", 8);
	mesh_stun_write_sha1(&w, "any key", 7);
	mesh_stun_write_fingerprint(&w);
	CU_ASSERT_EQUAL(serve("203.0.113.5:40000"), TT_DROP_NONE);
	CU_ASSERT_TRUE(response_is(MESH_STUN_SUCCESS));
}

static void silent(enum tt_drop want, const char *source)
{
	response_len = 99;
	CU_ASSERT_EQUAL(serve(source), want);
	CU_ASSERT_EQUAL(response_len, 0);
}

static void silence(void)
{
	static const char *const bad_sources[] = {"0.0.0.0:1",	 "255.255.255.255:9",
						  "224.0.0.1:5", "240.1.1.1:1",
						  "[::]:4",	 "[ff02::1]:3478"};

	for (size_t i = 0; i < TT_ARRAY_LEN(bad_sources); i++) {
		begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
		silent(TT_DROP_STUN_SOURCE, bad_sources[i]);
	}
	struct tt_endpoint no_port = endpoint("192.0.2.1:1");
	no_port.udp_port = 0;
	CU_ASSERT_EQUAL(mesh_stun_serve(response, &response_len, request, 20, &no_port),
			TT_DROP_STUN_SOURCE);
	begin(MESH_STUN_INDICATION, MESH_STUN_BINDING);
	silent(TT_DROP_STUN_UNEXPECTED, "192.0.2.1:1");
	/* an answer to an answer would be a loop */
	begin(MESH_STUN_SUCCESS, MESH_STUN_BINDING);
	silent(TT_DROP_STUN_UNEXPECTED, "192.0.2.1:1");
	begin(MESH_STUN_ERROR, MESH_STUN_BINDING);
	mesh_stun_write_attr(&w, 0x0300, NULL, 0);
	silent(TT_DROP_STUN_UNEXPECTED, "192.0.2.1:1");
	for (unsigned method = 2; method < 16; method++) {
		begin(MESH_STUN_REQUEST, method);
		silent(TT_DROP_STUN_UNEXPECTED, "192.0.2.1:1");
	}
	begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
	mesh_stun_write_fingerprint(&w);
	request[w.len - 1] ^= 1;
	silent(TT_DROP_STUN_FINGERPRINT, "192.0.2.1:1");
}

/* Case 24: what is broken gets no answer at all. */
static void case_24_broken_requests(void)
{
	struct tt_endpoint e = endpoint("192.0.2.1:1");

	for (size_t i = 0; i < TT_ARRAY_LEN(stun_vectors); i++) {
		uint8_t bytes[STUN_VECTOR_MAX];
		size_t len = stun_vector_bytes(&stun_vectors[i], bytes);

		for (size_t n = 0; n < len; n++)
			CU_ASSERT_EQUAL(mesh_stun_serve(response, &response_len, bytes, n, &e),
					TT_DROP_STUN_MALFORMED);
	}
}

/* Whatever is asked, the answer fits its space and is at most 24 bytes longer. */
static void no_amplification(void)
{
	static const char *const sources[] = {"192.0.2.1:1", "[2001:db8::1]:1"};
	static const uint8_t value[40] = {1, 2, 3};
	struct tt_rng_seeded seeded;
	struct tt_rng rng = tt_rng_seeded_init(&seeded, 3478);
	unsigned answered = 0;

	for (int round = 0; round < 20000; round++) {
		begin(MESH_STUN_REQUEST, MESH_STUN_BINDING);
		for (uint32_t n = tt_rng_below(&rng, 12); n > 0; n--)
			mesh_stun_write_attr(&w, (uint16_t)(tt_rng_u32(&rng) & 0x80ff), value,
					     tt_rng_below(&rng, 40));
		if (tt_rng_below(&rng, 2))
			mesh_stun_write_fingerprint(&w);
		size_t len = w.len;
		if (serve(sources[round & 1]) == TT_DROP_NONE) {
			answered++;
			CU_ASSERT(response_len <= len + 24 && response_len <= sizeof(response));
			CU_ASSERT_EQUAL(mesh_stun_parse(&m, response, response_len), TT_DROP_NONE);
		}
	}
	CU_ASSERT(answered > 1000);
}

TT_TESTS("mesh/stun_server", {"tells the source", tells_the_source},
	 {"mapped source", mapped_source},
	 {"case_24 unknown required attributes", case_24_unknown_required},
	 {"optional attributes and credentials", optional_and_credentials_do_not_matter},
	 {"silence", silence}, {"case_24 broken requests", case_24_broken_requests},
	 {"no amplification", no_amplification})
