/* SPDX-License-Identifier: MIT
 *
 * What `taltun doctor` finds, check by check.
 */
#ifndef TT_TALTUN_DOCTOR_H
#define TT_TALTUN_DOCTOR_H

#include <jansson.h>

enum doctor_result {
	DOCTOR_OK,
	DOCTOR_NOTE,	/* works, and could be better or has a side effect to know of */
	DOCTOR_PROBLEM, /* something of Taltun does not work like this */
};

/* Adds one check to the report. subject: an interface, or "". hint: what to do; "" for nothing. */
void doctor_add(json_t *report, enum doctor_result result, const char *check, const char *subject,
		const char *hint, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* doctor_host.c: kernel, rights, limits. */
void doctor_host(json_t *report);
/* doctor_nic.c: one network interface. */
void doctor_nic(json_t *report, const char *name);
/* doctor_firewall.c: rules that packets past the kernel do not meet. */
void doctor_firewall(json_t *report);

#endif
