/*
 * GMPPROCS, GMP_MODE, GMP_DETOURS and GMPDEBUG: what is understood, and what is
 * said about the rest.  They are read once in a process, and each test is one.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/core/go.h"

TestSuite(env, .init = cleanenv, .timeout = 60);

static char said[4096];

/* Reads the variables; said is what came on stderr meanwhile. */
static void
parse(void)
{
	int fd = memfd_create("stderr", 0), saved = dup(2);
	ssize_t n;

	cr_assert(fd >= 0 && saved >= 0);
	dup2(fd, 2);
	parsedebugvars();
	dup2(saved, 2);
	n = pread(fd, said, sizeof(said) - 1, 0);
	cr_assert_geq(n, 0);
	said[n] = 0;
}

static void
parsewith(const char *name, const char *value)
{
	setenv(name, value, 1);
	parse();
}

/* One line that names the variable, the value and what is allowed. */
static void
assertsaid(const char *name, const char *value, const char *allowed)
{
	char head[128];

	snprintf(head, sizeof(head), "libgmpthread: %s=%s: ", name, value);
	cr_assert_eq(strncmp(said, head, strlen(head)), 0, "%s", said);
	cr_assert_not_null(strstr(said, allowed), "%s", said);
	cr_assert_eq(strchr(said, '\n'), said + strlen(said) - 1,
	    "more or less than a line");
}

#define assertsilent() cr_assert_str_empty(said)

/* --- nothing ------------------------------------------------------------------- */

Test(env, nothing_set_is_the_default)
{
	parse();
	assertsilent();
	cr_assert_eq(envmode, MODE_MN);
	cr_assert_eq(envprocs, 0);
	cr_assert_not(debug.checkdead);
	cr_assert_eq(dumpsignal(), SIGQUIT);
	cr_assert_not(debug.dumpjson);
	cr_assert_eq(debug.randomize, 0);
	cr_assert_eq(debug.schedtrace, 0);
	cr_assert_not(debug.scheddetail);
	cr_assert_null(debug.stats);
	cr_assert(detourswanted());
	cr_assert_not(detoursshown());
}

/* --- GMPPROCS -------------------------------------------------------------------- */

Test(env, procs_is_a_number)
{
	parsewith("GMPPROCS", "3");
	assertsilent();
	cr_assert_eq(envprocs, 3);
	cr_assert_eq(defaultmaxprocs(), 3);
}

Test(env, procs_may_be_the_largest)
{
	parsewith("GMPPROCS", "4096");
	assertsilent();
	cr_assert_eq(envprocs, 4096);
}

/* Each is refused, and the number of CPUs is used. */
#define BADPROCS(name, value)                                                  \
	Test(env, procs_##name##_is_refused)                                   \
	{                                                                      \
		parsewith("GMPPROCS", value);                                  \
		assertsaid("GMPPROCS", value, "1 to 4096");                    \
		cr_assert_eq(envprocs, 0);                                     \
		cr_assert_eq(defaultmaxprocs(), oscpus());                     \
	}

BADPROCS(nothing, "")
BADPROCS(zero, "0")
BADPROCS(too_many, "4097")
BADPROCS(beyond_64_bits, "18446744073709551617")
BADPROCS(negative, "-1")
BADPROCS(signed, "+2")
BADPROCS(with_a_unit, "2x")
BADPROCS(with_a_space, " 2")
BADPROCS(hexadecimal, "0x2")
BADPROCS(fraction, "1.5")
BADPROCS(word, "many")

/* --- GMP_MODE ---------------------------------------------------------------------- */

Test(env, mode_off)
{
	parsewith("GMP_MODE", "off");
	assertsilent();
	cr_assert_eq(envmode, MODE_OFF);
}

Test(env, mode_bound)
{
	parsewith("GMP_MODE", "bound");
	assertsilent();
	cr_assert_eq(envmode, MODE_BOUND);
}

Test(env, mode_mn)
{
	parsewith("GMP_MODE", "mn");
	assertsilent();
	cr_assert_eq(envmode, MODE_MN);
}

#define BADMODE(name, value)                                                   \
	Test(env, mode_##name##_is_refused)                                    \
	{                                                                      \
		parsewith("GMP_MODE", value);                                  \
		assertsaid("GMP_MODE", value, "off, bound and mn");            \
		cr_assert_eq(envmode, MODE_MN);                                \
	}

BADMODE(nothing, "")
BADMODE(unknown, "n1")
BADMODE(capitals, "OFF")
BADMODE(prefix, "bou")
BADMODE(with_a_space, "off ")

/* --- GMP_DETOURS ------------------------------------------------------------- */

Test(env, detours_off)
{
	parsewith("GMP_DETOURS", "0");
	assertsilent();
	cr_assert_not(detourswanted());
}

Test(env, detours_on)
{
	parsewith("GMP_DETOURS", "1");
	assertsilent();
	cr_assert(detourswanted());
}

Test(env, detours_no_number_is_refused)
{
	parsewith("GMP_DETOURS", "2");
	assertsaid("GMP_DETOURS", "2", "0 and 1");
	cr_assert(detourswanted());
}

/* --- GMPDEBUG ------------------------------------------------------------------------ */

Test(env, debug_checkdead)
{
	parsewith("GMPDEBUG", "checkdead=1");
	assertsilent();
	cr_assert(debug.checkdead);
}

Test(env, debug_detours)
{
	parsewith("GMPDEBUG", "detours=1");
	assertsilent();
	cr_assert(detoursshown());
}

Test(env, debug_dump)
{
	parsewith("GMPDEBUG", "dump=USR1,dumpjson=1");
	assertsilent();
	cr_assert_eq(dumpsignal(), SIGUSR1);
	cr_assert(debug.dumpjson);
}

Test(env, debug_dump_takes_names_and_numbers)
{
	parsewith("GMPDEBUG", "dump=SIGUSR2");
	assertsilent();
	cr_assert_eq(dumpsignal(), SIGUSR2);
}

Test(env, debug_dump_takes_a_realtime_signal)
{
	parsewith("GMPDEBUG", "dump=40");
	assertsilent();
	cr_assert_eq(dumpsignal(), 40);
}

Test(env, debug_dump_0_is_off)
{
	parsewith("GMPDEBUG", "dump=0");
	assertsilent();
	cr_assert_eq(dumpsignal(), 0);
}

Test(env, debug_inittrace_shows_detours_too)
{
	parsewith("GMPDEBUG", "inittrace=1");
	assertsilent();
	cr_assert(debug.inittrace);
	cr_assert(detoursshown());
}

Test(env, debug_randomize)
{
	parsewith("GMPDEBUG", "randomize=12345");
	assertsilent();
	cr_assert_eq(debug.randomize, 12345);
}

Test(env, debug_schedtrace)
{
	parsewith("GMPDEBUG", "schedtrace=1000,scheddetail=1");
	assertsilent();
	cr_assert_eq(debug.schedtrace, 1000);
	cr_assert(debug.scheddetail);
}

Test(env, debug_schedtrace_0_is_off)
{
	parsewith("GMPDEBUG", "schedtrace=10,schedtrace=0");
	assertsilent();
	cr_assert_eq(debug.schedtrace, 0);
}

Test(env, debug_stats)
{
	parsewith("GMPDEBUG", "stats=/tmp/a=b");
	assertsilent();
	cr_assert_str_eq(debug.stats, "/tmp/a=b");
}

Test(env, debug_takes_several)
{
	parsewith("GMPDEBUG", "stats=x,checkdead=1,randomize=7");
	assertsilent();
	cr_assert_str_eq(debug.stats, "x");
	cr_assert(debug.checkdead);
	cr_assert_eq(debug.randomize, 7);
}

Test(env, debug_last_one_counts)
{
	parsewith("GMPDEBUG", "checkdead=1,checkdead=0");
	assertsilent();
	cr_assert_not(debug.checkdead);
}

Test(env, debug_empty_is_nothing)
{
	parsewith("GMPDEBUG", "");
	assertsilent();
}

Test(env, debug_good_ones_count_beside_a_bad_one)
{
	parsewith("GMPDEBUG", "checkdead=1,nonsense=1,randomize=7,more");
	assertsaid("GMPDEBUG", "nonsense=1", "SEED");
	cr_assert(debug.checkdead);
	cr_assert_eq(debug.randomize, 7);
}

#define BADDEBUG(name, value)                                                  \
	Test(env, debug_##name##_is_refused)                                   \
	{                                                                      \
		parsewith("GMPDEBUG", value);                                  \
		assertsaid("GMPDEBUG", value, "checkdead=0|1");                \
		cr_assert_not(debug.checkdead);                                \
		cr_assert_eq(debug.randomize, 0);                              \
		cr_assert_eq(debug.schedtrace, 0);                             \
		cr_assert_null(debug.stats);                                   \
	}

BADDEBUG(unknown, "frobnicate=1")
BADDEBUG(without_a_value, "checkdead")
BADDEBUG(empty_value, "checkdead=")
BADDEBUG(switch_with_a_number, "checkdead=2")
BADDEBUG(prefix, "check=1")
BADDEBUG(longer_name, "checkdeadx=1")
BADDEBUG(seed_0, "randomize=0")
BADDEBUG(signal_that_is_none, "dump=FROB")
BADDEBUG(signal_that_none_catches, "dump=KILL")
BADDEBUG(signal_of_libc, "dump=33")
BADDEBUG(fault, "dump=11")
BADDEBUG(empty_signal, "dump=")
BADDEBUG(seed_that_is_no_number, "randomize=x")
BADDEBUG(seed_beyond_64_bits, "randomize=99999999999999999999")
BADDEBUG(period_that_is_no_number, "schedtrace=1s")
BADDEBUG(period_beyond_32_bits, "schedtrace=4294967296")
BADDEBUG(detail_with_a_number, "scheddetail=2")
BADDEBUG(stats_without_a_prefix, "stats=")

/* --- all of them ------------------------------------------------------------------------ */

Test(env, each_bad_variable_has_its_line)
{
	char *line = said;
	int n = 0;

	setenv("GMPPROCS", "none", 1);
	setenv("GMP_MODE", "none", 1);
	setenv("GMPDEBUG", "none", 1);
	parse();
	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		n++;
	}
	cr_assert_eq(n, 3, "%s", said);
}

Test(env, long_value_is_cut_and_the_line_is_whole)
{
	char value[1000];

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	parsewith("GMP_MODE", value);
	cr_assert_lt(strlen(said), 256);
	cr_assert_not_null(strstr(said, "off, bound and mn"));
	cr_assert_eq(said[strlen(said) - 1], '\n');
}

Test(env, read_once)
{
	parsewith("GMPPROCS", "3");
	parsewith("GMPPROCS", "bad");
	assertsilent();
	cr_assert_eq(envprocs, 3);
}
