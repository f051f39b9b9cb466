/* SPDX-License-Identifier: MIT
 *
 * What the WAN emulator does to packets, by the names that its options and its control socket know.
 */
#ifndef TT_TOOLS_WAN_SETTING_H
#define TT_TOOLS_WAN_SETTING_H

#include "base/types.h"
#include "wan_tun.h"

#define WAN_PACKETS_MAX 65536 /* in flight */

/* What is done to one direction. Shares are in millionths, so that a decision is one comparison. */
struct wan_impairment {
	uint64_t delay_ns;
	uint64_t jitter_ns;
	uint64_t reorder_ns;
	uint32_t loss_ppm;
	uint32_t dup_ppm;
	uint32_t reorder_ppm;
	uint64_t rate_bps;
	uint32_t queue_packets;
	uint32_t mtu;
	bool drop_icmp;
	bool blackhole;
};

static inline bool wan_setting_switch(const char *s, double *out)
{
	*out = !strcmp(s, "on") || !strcmp(s, "1");
	return *out != 0.0 || !strcmp(s, "off") || !strcmp(s, "0");
}

/* A setting is a number of some unit stored as an integer of another, or a switch (unit 0). */
static const struct wan_setting {
	const char *name;
	size_t offset, size;
	double unit, min, max;
} wan_settings[] = {
#define SETTING(name, field, unit, min, max)                                     \
	{                                                                        \
		name, offsetof(struct wan_impairment, field),                    \
			sizeof((struct wan_impairment){0}.field), unit, min, max \
	}
	SETTING("delay-ms", delay_ns, 1e6, 0, 60000),
	SETTING("jitter-ms", jitter_ns, 1e6, 0, 60000),
	SETTING("reorder-ms", reorder_ns, 1e6, 0, 60000),
	SETTING("loss", loss_ppm, 1e4, 0, 100),
	SETTING("dup", dup_ppm, 1e4, 0, 100),
	SETTING("reorder", reorder_ppm, 1e4, 0, 100),
	SETTING("rate-mbit", rate_bps, 1e6, 0, 1e6),
	SETTING("queue-packets", queue_packets, 1, 1, WAN_PACKETS_MAX),
	SETTING("mtu", mtu, 1, 68, 65535),
	SETTING("drop-icmp", drop_icmp, 0, 0, 1),
	SETTING("blackhole", blackhole, 0, 0, 1),
#undef SETTING
};

static inline void wan_setting_store(struct wan_impairment *imp, const struct wan_setting *s,
				     double v)
{
	uint64_t n = (uint64_t)(s->unit != 0.0 ? v * s->unit : v);

	/* The low bytes come first, so a narrower field takes the start of n. */
	if (imp)
		memcpy((char *)imp + s->offset, &n, s->size);
}

/* In the directions that are not NULL. NULL, or what is wrong. */
static inline const char *wan_setting_apply(struct wan_impairment *lr, struct wan_impairment *rl,
					    const char *name, const char *value)
{
	double v;

	for (size_t i = 0; i < TT_ARRAY_LEN(wan_settings); i++) {
		const struct wan_setting *s = &wan_settings[i];

		if (strcmp(s->name, name))
			continue;
		if (s->unit == 0.0 ? !wan_setting_switch(value, &v)
				   : !wan_parse_number(value, s->max, &v))
			return "bad value";
		if (v < s->min)
			return "value too small";
		wan_setting_store(lr, s, v);
		wan_setting_store(rl, s, v);
		return NULL;
	}
	return "no such setting";
}

#endif
