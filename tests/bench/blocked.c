/*
 * -n threads with stacks of 64 KiB that all wait on one condition: what a
 * thread costs to make, to keep (resident memory of the process, and memory of
 * the kernel from /proc/meminfo, the whole machine's: -n should be large), and
 * to wake and join.  Where a limit stops it, it goes on with the threads made.
 */
#include "bench.h"

static struct gate gate = GATE_INITIALIZER;

/* Bytes of all lines of a /proc file that start with one of the names. */
static double
kibibytes(const char *path, const char *const *names)
{
	char line[256];
	double sum = 0;
	FILE *f = fopen(path, "r");

	if (f == NULL)
		die(path, errno);
	while (fgets(line, sizeof(line), f) != NULL) {
		for (const char *const *name = names; *name != NULL; name++) {
			size_t len = strlen(*name);

			if (strncmp(line, *name, len) == 0 && line[len] == ':')
				sum += atof(line + len + 1);
		}
	}
	fclose(f);
	return sum;
}

static double
resident(void)
{
	static const char *const names[] = { "VmRSS", NULL };

	return kibibytes("/proc/self/status", names);
}

static double
kernel(void)
{
	static const char *const names[] = {
		"KernelStack",
		"PageTables",
		"Slab",
		NULL,
	};

	return kibibytes("/proc/meminfo", names);
}

static double
tasks(void)
{
	static const char *const names[] = { "Threads", NULL };

	return kibibytes("/proc/self/status", names);
}

int
main(int argc, char **argv)
{
	pthread_t *threads;
	pthread_attr_t attr;
	double rss, kmem;
	long made;

	opt.n = 10000;
	options(argc, argv);
	threads = allocate((size_t)opt.n, sizeof(*threads));
	/* Resident now, so that it does not count as the threads' memory. */
	memset(threads, 1, (size_t)opt.n * sizeof(*threads));
	check(pthread_attr_init(&attr), "pthread_attr_init");
	check(pthread_attr_setstacksize(&attr, 64 << 10), "setstacksize");
	/* The first thread starts the runtime: not part of the figures. */
	resetgate(&gate);
	gate.open = true;
	join(spawn(bystander, &gate, &attr));
	resetgate(&gate);

	rss = resident();
	kmem = kernel();
	start();
	for (made = 0; made < opt.n; made++) {
		int err =
		    pthread_create(&threads[made], &attr, bystander, &gate);

		if (err == EAGAIN && made > 0)
			break;
		check(err, "pthread_create");
	}
	awaitall(&gate, made);
	stop();
	reporttime("create", made);
	report("rss", (resident() - rss) / (double)made, "KiB");
	report("kernel", (kernel() - kmem) / (double)made, "KiB");
	report("threads", (double)made, "threads");
	report("tasks", tasks(), "tasks");

	start();
	opengate(&gate);
	for (long i = 0; i < made; i++)
		join(threads[i]);
	stop();
	reporttime("wake", made);
}
