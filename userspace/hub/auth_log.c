/* SPDX-License-Identifier: MIT */
#include "hub/auth_log.h"

#include "base/log.h"
#include "plat/clock.h"

#define LINES_PER_S 50

void hub_auth_failed(const struct tt_endpoint *source, enum hub_auth_method method, const char *why)
{
	static const char *const name[] = {
		[HUB_AUTH_TOKEN] = "token",
		[HUB_AUTH_TLS] = "tls",
		[HUB_AUTH_CERTIFICATE] = "certificate",
	};
	static struct tt_log_limit limit;
	uint32_t left_out;

	if (!tt_log_limit_pass(&limit, plat_clock_mono(), LINES_PER_S, &left_out))
		return;
	if (left_out)
		tt_log(TT_LOG_WARN, "auth.left_out", TT_F_U64("lines", left_out));
	tt_log(TT_LOG_WARN, "auth.failed", TT_F_IP("source", &source->ip),
	       TT_F_STR("method", name[method]), TT_F_STR("why", why));
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
