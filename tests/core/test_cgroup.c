/*
 * The CPUs that control groups grant, read from trees of files made for it: both
 * versions, limits on the way to the root, a container's own view, no limit.
 */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/runtime.h"

static char root[] = "/tmp/gmp-cgroup-XXXXXX";

static void
put(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *p = path + sizeof(root); (p = strchr(p, '/')) != NULL; p++) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static void
begin(void)
{
	cr_assert_not_null(mkdtemp(root));
}

static void
end(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", root);
	cr_assert_eq(system(command), 0);
}

TestSuite(cgroup, .init = begin, .fini = end);

Test(cgroup, none_without_files)
{
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/proc/self/cgroup", "");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/proc/self/cgroup", "0::/a\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/proc/self/cgroup", "nonsense\n:\n::\n0:\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
}

Test(cgroup, version_2)
{
	put("/proc/self/cgroup", "0::/user/program\n");
	put("/sys/fs/cgroup/user/program/cpu.max", "max 100000\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/sys/fs/cgroup/user/program/cpu.max", "300000 100000\n");
	cr_assert_eq(cgroupcpus(root), 3);
	/* Half a CPU more is a CPU more. */
	put("/sys/fs/cgroup/user/program/cpu.max", "350000 100000\n");
	cr_assert_eq(cgroupcpus(root), 4);
	put("/sys/fs/cgroup/user/program/cpu.max", "1000 100000\n");
	cr_assert_eq(cgroupcpus(root), 1);
	put("/sys/fs/cgroup/user/program/cpu.max", "1000 0\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
}

Test(cgroup, the_least_on_the_way_to_the_root)
{
	put("/proc/self/cgroup", "0::/user/program\n");
	put("/sys/fs/cgroup/user/program/cpu.max", "400000 100000\n");
	put("/sys/fs/cgroup/user/cpu.max", "200000 100000\n");
	put("/sys/fs/cgroup/use/cpu.max", "100000 100000\n");
	cr_assert_eq(cgroupcpus(root), 2);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	cr_assert_eq(cgroupcpus(root), 1);
}

/* Its path is the host's, its tree begins at its own group. */
Test(cgroup, in_a_container)
{
	put("/proc/self/cgroup", "0::/host/containers/1\n");
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	cr_assert_eq(cgroupcpus(root), 2);
}

Test(cgroup, version_1)
{
	put("/proc/self/cgroup",
	    "5:cpuset:/other\n4:name=cpu:/third\n3:cpuacct,cpu:/a/b\n"
	    "0::/\n");
	put("/sys/fs/cgroup/cpu/other/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/other/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu/third/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/third/cpu.cfs_period_us", "100000\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "150000\n");
	cr_assert_eq(cgroupcpus(root), INT_MAX);
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n");
	cr_assert_eq(cgroupcpus(root), 3);
}
