/* uselocale() is per thread; setlocale() is for everyone who has none. */
#include "guest.h"

#include <langinfo.h>
#include <locale.h>
#include <wchar.h>

static locale_t utf8;
static sem_t gate, running;

static int
multibyte(void)
{
	mbstate_t st = { 0 };
	wchar_t w = 0;

	/* In C.UTF-8 this is one character of two bytes. */
	return (int)mbrtowc(&w, "\xc3\xa4", 2, &st) == 2 && w == 0xe4;
}

static void *
utf(void *arg)
{
	CHECK(uselocale(NULL) == LC_GLOBAL_LOCALE);
	CHECK(!multibyte());
	CHECK(uselocale(utf8) == LC_GLOBAL_LOCALE);
	for (int i = 0; i < 50; i++) {
		CHECK(multibyte());
		CHECK(MB_CUR_MAX == 6);
		CHECK(strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
		CHECK(uselocale(NULL) == utf8);
		sched_yield();
	}
	if (arg != NULL) {
		sem_post(&running);
		await(&gate);
		CHECK(multibyte());
	}
	return NULL;
}

static void *
plain(void *arg)
{
	for (int i = 0; i < 50; i++) {
		CHECK(!multibyte());
		CHECK(MB_CUR_MAX == 1);
		CHECK(uselocale(NULL) == LC_GLOBAL_LOCALE);
		CHECK(strtol(" 12", NULL, 10) == 12 &&
		    strtod("1.5", NULL) == 1.5);
		sched_yield();
	}
	return arg;
}

static void *
global(void *arg)
{
	CHECK(uselocale(NULL) == LC_GLOBAL_LOCALE);
	CHECK(multibyte());
	return arg;
}

int
main(void)
{
	pthread_t t[100], held;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	utf8 = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	MUST(utf8 != (locale_t)0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++)
			t[i] = spawn(i % 2 != 0 ? utf : plain, NULL);
		for (int i = 0; i < 100; i++)
			finish(t[i]);
	}
	held = spawn(utf, &gate);
	await(&running);
	CHECK(!multibyte());
	SHOWN(setlocale(LC_ALL, "C.UTF-8") != NULL);
	finish(spawn(global, NULL));
	SHOWN(multibyte());
	SHOWN(setlocale(LC_ALL, "C") != NULL);
	sem_post(&gate);
	finish(held);
	SHOWN(multibyte());
	freelocale(utf8);
	return done();
}
