/* SPDX-License-Identifier: MIT */
#include "hub/auth_log.h"

#include "base/log.h"
#include "plat/clock.h"

#define LINES_PER_S 50

static const char *const names[HUB_AUTH_METHODS] = {
	[HUB_AUTH_TOKEN] = "token",
	[HUB_AUTH_TLS] = "tls",
	[HUB_AUTH_CERTIFICATE] = "certificate",
};
static uint64_t failures[HUB_AUTH_METHODS];

const char *hub_auth_method_name(enum hub_auth_method method)
{
	return names[method];
}

uint64_t hub_auth_failures(enum hub_auth_method method)
{
	return failures[method];
}

void hub_auth_failed(const struct tt_endpoint *source, enum hub_auth_method method, const char *why)
{
	failures[method]++;
	tt_log_limited(TT_LOG_WARN, "auth.failed", names[method], plat_clock_mono(), LINES_PER_S,
		       TT_F_IP("source", &source->ip), TT_F_STR("method", names[method]),
		       TT_F_STR("why", why));
}

void hub_auth_tls_failed(const struct tt_endpoint *source, enum tls_failure failure)
{
	switch (failure) {
	case TLS_FAIL_PROTOCOL:
	case TLS_FAIL_ALPN:
	case TLS_FAIL_UNTRUSTED:
	case TLS_FAIL_EXPIRED:
	case TLS_FAIL_NOT_YET:
	case TLS_FAIL_NAME:
	case TLS_FAIL_ROLE:
		hub_auth_failed(source, HUB_AUTH_TLS, tls_failure_name(failure));
		break;
	case TLS_FAIL_NONE:
	case TLS_FAIL_REFUSED:
	case TLS_FAIL_NO_RESOURCE:
	case TLS_FAIL_COUNT:
		break;
	}
}
