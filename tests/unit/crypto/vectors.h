/* SPDX-License-Identifier: MIT
 *
 * Hex, and the JSON files of published test vectors, for the tests of this folder.
 */
#ifndef TT_TEST_VECTORS_H
#define TT_TEST_VECTORS_H

#include <jansson.h>
#include "tt_test.h"

/* Decodes hex of at most max bytes; aborts on anything else, which is a broken test. */
static inline size_t vec_hex(const char *hex, uint8_t *out, size_t max)
{
	size_t n = strlen(hex) / 2;

	tt_assert(n <= max && strlen(hex) % 2 == 0);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		int got = sscanf(hex + 2 * i, "%2x", &byte);

		tt_assert(got == 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

static inline bool vec_equal(const uint8_t *data, const char *hex)
{
	uint8_t want[4096];
	size_t n = vec_hex(hex, want, sizeof(want));

	return memcmp(data, want, n) == 0;
}

static inline const char *vec_str(const json_t *test, const char *key)
{
	const char *s = json_string_value(json_object_get(test, key));

	tt_assert(s);
	return s;
}

static inline size_t vec_field(const json_t *test, const char *key, uint8_t *out, size_t max)
{
	return vec_hex(vec_str(test, key), out, max);
}

static inline bool vec_has_flag(const json_t *test, const char *flag)
{
	const json_t *flags = json_object_get(test, "flags");

	for (size_t i = 0; i < json_array_size(flags); i++)
		if (strcmp(json_string_value(json_array_get(flags, i)), flag) == 0)
			return true;
	return false;
}

/*
 * Calls fn for every test of a Wycheproof file and returns how many there were; counts them as
 * skipped where the vectors are not on this machine.
 */
static inline size_t vec_wycheproof(const char *file,
				    void (*fn)(const json_t *group, const json_t *test))
{
	char path[1024];
	size_t count = 0;

	if (!tt_test_vectors()) {
		tt_test_skip(1, "the shared vectors are not here");
		return 0;
	}
	snprintf(path, sizeof(path), "%s/wycheproof/%s", tt_test_vectors(), file);
	json_t *root = json_load_file(path, 0, NULL);
	const json_t *groups = json_object_get(root, "testGroups");
	CU_ASSERT_PTR_NOT_NULL(groups);
	for (size_t g = 0; g < json_array_size(groups); g++) {
		const json_t *group = json_array_get(groups, g);
		const json_t *tests = json_object_get(group, "tests");

		for (size_t i = 0; i < json_array_size(tests); i++, count++)
			fn(group, json_array_get(tests, i));
	}
	CU_ASSERT(count == (size_t)json_integer_value(json_object_get(root, "numberOfTests")));
	json_decref(root);
	return count;
}

#endif
