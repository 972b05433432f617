/* The table of clients: what is one client, the limit, many threads. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/sources.h"

#define THREADS 4
#define ROUNDS 20000

static struct source *
enter(struct sources *all, const char *text, int64_t most, int wanted)
{
	struct source *entry;
	struct addr a;

	assert_int_equal(addr_parse(&a, text, 1234), 0);
	assert_int_equal(sources_enter(all, &a, most, &entry), wanted);
	return entry;
}

static void
test_limit(void **state)
{
	struct sources *all = sources_new();
	struct source *one, *two;

	(void)state;
	one = enter(all, "192.0.2.1", 2, 0);
	two = enter(all, "192.0.2.1", 2, 0);
	assert_null(enter(all, "192.0.2.1", 2, -EDQUOT));
	sources_leave(all, enter(all, "192.0.2.1", 0, 0)); /* no limit */
	sources_leave(all, one);
	one = enter(all, "192.0.2.1", 2, 0);
	sources_leave(all, one);
	sources_leave(all, two);
	sources_free(all);
}

static void
test_who_is_one(void **state)
{
	static const char *const others[] = { "192.0.2.2", "2001:db8:0:1::1",
		"2001:db8:0:2::1", "c000:201::1", "::1" };
	struct sources *all = sources_new();
	struct source *entries[5], *one = enter(all, "192.0.2.1", 1, 0);

	(void)state;
	for (size_t i = 0; i < 5; i++)
		entries[i] = enter(all, others[i], 1, 0);
	enter(all, "2001:db8:0:1:ffff::2", 1, -EDQUOT);
	enter(all, "192.0.2.1", 1, -EDQUOT);
	for (size_t i = 0; i < 5; i++)
		sources_leave(all, entries[i]);
	sources_leave(all, one);
	sources_free(all);
}

static void *
come_and_go(void *all)
{
	struct source *entry;
	struct addr a;

	for (unsigned i = 0; i < ROUNDS; i++) {
		a = (struct addr){ .in4 = { .sin_family = AF_INET,
				       .sin_addr.s_addr = i % 7 } };
		if (sources_enter(all, &a, THREADS, &entry))
			return all;
		sources_leave(all, entry);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct sources *all = sources_new();
	pthread_t threads[THREADS];
	void *failed;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, come_and_go, all), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	/* All have gone again. */
	sources_leave(all, enter(all, "0.0.0.3", 1, 0));
	sources_free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_who_is_one),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
