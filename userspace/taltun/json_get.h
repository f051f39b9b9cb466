/* SPDX-License-Identifier: MIT
 *
 * Members of what the daemon answers. What is absent, or of another type, is "", 0 or false: an
 * older daemon does not say everything.
 */
#ifndef TT_TALTUN_JSON_GET_H
#define TT_TALTUN_JSON_GET_H

#include <jansson.h>
#include <stdbool.h>

static inline const char *get_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static inline long long get_num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Of an integer as well. */
static inline double get_real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static inline bool get_flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

#endif
