/* SPDX-License-Identifier: MIT
 *
 * Intrusive doubly linked circular list.
 */
#ifndef TT_BASE_LIST_H
#define TT_BASE_LIST_H

#include "base/types.h"

struct tt_list {
	struct tt_list *next, *prev;
};

static inline void tt_list_init(struct tt_list *l)
{
	l->next = l->prev = l;
}

static inline bool tt_list_empty(const struct tt_list *l)
{
	return l->next == l;
}

static inline void tt_list_add_tail(struct tt_list *head, struct tt_list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

/* Safe on a node that is in no list, as long as it was initialised. */
static inline void tt_list_del(struct tt_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}

#define tt_list_for_each(it, head) for ((it) = (head)->next; (it) != (head); (it) = (it)->next)
#define tt_list_for_each_safe(it, tmp, head)                          \
	for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); \
	     (it) = (tmp), (tmp) = (it)->next)

#endif
