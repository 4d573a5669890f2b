"""stress-ng: threads, mutexes, semaphores, futexes and switches, verified; then
what touches signals, processes and kernel threads.
"""

import re

from harness import check

GS = 2 * 1000
TREE = True
# A thousand threads of --pthread make short system calls as they start; and
# there are several processes.
IN_KERNEL = 400

RUNS = {
    "pthread": ["--pthread", "2", "--pthread-max", "512",
                "--pthread-ops", "4000"],
    # Real-time threads: the last of the four may start late.
    "mutex": ["--mutex", "4", "--timeout", "3"],
    # Its parent sleeps until the alarm, whatever --sem-ops says.
    "sem": ["--sem", "2", "--sem-procs", "16", "--timeout", "2"],
    "futex": ["--futex", "2", "--futex-ops", "5000"],
    "switch": ["--switch", "2", "--switch-ops", "20000"],
    "membarrier": ["--membarrier", "1", "--timeout", "1"],
}
# These make no threads: what stands in front of libc has to be out of the way.
# (--spawn refuses to run as root, --rseq where libc has registered already.)
INERT = ["kill", "sigq", "sigsegv", "timer", "fork", "vfork", "clone",
         "schedpolicy", "affinity", "set"]
RUNS.update({name: [f"--{name}", "2", "--timeout", "1"] for name in INERT})


# Its exit status when it could not do anything.
NO_RESOURCE = 3


def stress(half, args):
    """On a busy machine its time may be up before a worker of --mutex has made
    a thread, natively as well: then once more.
    """
    argv = ["/usr/bin/stress-ng", "-v", *args, "--verify", "--metrics-brief"]
    for _ in range(2):
        done = half.run(argv, status=None)
        if half.targets[-1].popen.returncode != NO_RESOURCE:
            break
    else:
        return half.run(argv)
    half.targets[-1].expect(0)
    return done


def run(half):
    for name, args in RUNS.items():
        done = stress(half, args)
        text = done.out + done.err
        # It calls a run successful whose workers crashed; -v tells.
        bad = re.findall(r"stress-ng: (?:fail|error):.*|.* on signal:.*", text)
        check("successful run completed" in text and not bad,
              f"stress-ng --{name} is not content", "\n".join(bad) or text)
        ops = re.search(rf"metrc: .* {name} +(\d+) ", text)
        check(ops is not None, f"no figures for {name}", text)
        want = int(args[-1]) if args[-2].endswith("-ops") else 1
        check(int(ops[1]) >= want, f"--{name}: {ops[1]} of {want}", text)
    return sorted(RUNS)
