/* The mailbox: order, another thread, nothing lost at the end. */
#include <event2/event.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mailbox.h"

#define MESSAGES 1000

struct owner {
	struct event_base *base;
	uintptr_t seen;
	int out_of_order;
};

static void
on_number(void *owner, void *arg)
{
	struct owner *o = owner;

	o->out_of_order += (uintptr_t)arg != o->seen++;
	if (o->seen == MESSAGES)
		event_base_loopbreak(o->base);
}

static void *
post_all(void *box)
{
	for (uintptr_t i = 0; i < MESSAGES; i++)
		if (mailbox_post(box, on_number, (void *)i))
			return box;
	return NULL;
}

static void
test_order_across_threads(void **state)
{
	struct owner o = { .base = event_base_new() };
	struct mailbox *box = mailbox_new(o.base, &o);
	struct timeval limit = { 10, 0 };
	pthread_t thread;
	void *failed;

	(void)state;
	assert_non_null(box);
	event_base_loopexit(o.base, &limit);
	assert_int_equal(pthread_create(&thread, NULL, post_all, box), 0);
	event_base_dispatch(o.base);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(o.seen, MESSAGES);
	assert_int_equal(o.out_of_order, 0);
	mailbox_free(box);
	event_base_free(o.base);
}

static void
test_free_runs_the_rest(void **state)
{
	struct owner o = { .base = event_base_new() };
	struct mailbox *box = mailbox_new(o.base, &o);

	(void)state;
	assert_int_equal(mailbox_post(box, on_number, (void *)0), 0);
	assert_int_equal(mailbox_post(box, on_number, (void *)1), 0);
	mailbox_free(box);
	assert_int_equal(o.seen, 2);
	assert_int_equal(o.out_of_order, 0);
	event_base_free(o.base);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_across_threads),
		cmocka_unit_test(test_free_runs_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
