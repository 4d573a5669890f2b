"""Runs unmodified programs natively and under the preload, and measures them.

A Half is one side of the comparison.  Every command gets a session of its own,
so that whatever it starts can be found, counted and ended, and nothing else.
LD_PRELOAD is only ever in the environment of the program under test: clients
and checkers run natively in both halves.
"""

import collections
import contextlib
import glob
import hashlib
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LIBRARY = os.path.join(ROOT, "build", "libgmpthread.so")

# Seconds between two looks at the process tree.
INTERVAL = 0.01

# Kernel threads beyond one per P and one per blocked call that a scheduler
# may own at its peak: the first thread, sysmon, spinning and spare Ms.
SPARE = 8

Done = collections.namedtuple("Done", "out err seconds")


class Failure(Exception):
    """A test that did not pass: the reason, and the output that goes with it.
    """

    def __init__(self, reason, detail=""):
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def check(condition, reason, detail=""):
    if not condition:
        raise Failure(reason, detail)


def variant(library=LIBRARY, mode="mn", procs=None, detours=True, seed=None):
    """The environment that puts the preload in force."""
    env = {"LD_PRELOAD": os.path.abspath(library), "GMP_MODE": mode}
    if procs is not None:
        env["GMPPROCS"] = str(procs)
    if not detours:
        env["GMP_DETOURS"] = "0"
    if seed is not None:
        env["GMPDEBUG"] = f"randomize={seed}"
    return env


# --- the process tree ------------------------------------------------------

def slurp(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def session_of(pid):
    """(parent, session) of a process, (0, 0) when it is gone."""
    fields = slurp(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 4:
        return 0, 0
    return int(fields[1]), int(fields[3])


def members(session):
    """The processes of a session."""
    return [int(d) for d in os.listdir("/proc")
            if d.isdigit() and session_of(d)[1] == session]


class Sampler(threading.Thread):
    """Keeps the peaks of the sessions that it was told to watch: kernel
    threads of all their processes together, resident memory of the largest.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.threads = {}
        self.memory = {}
        self.ours = {}
        self.foreign = set()
        self.news = False

    def watch(self, session):
        self.memory[session] = 0
        self.threads[session] = 0
        # Its first children may have been taken for somebody else's.
        self.news = True

    def run(self):
        while not self.done.wait(INTERVAL):
            self.sample()

    def stop(self):
        self.done.set()
        self.join()

    def classify(self, pid):
        parent, session = session_of(pid)
        if session in self.threads:
            self.ours[pid] = session
        elif parent != os.getpid():
            # A child of ours may be on its way to setsid(): ask again.
            self.foreign.add(pid)

    def sample(self):
        if self.news:
            self.news = False
            self.foreign.clear()
        pids = {d for d in os.listdir("/proc") if d.isdigit()}
        # Process ids are used again, after a few thousand threads.
        self.foreign &= pids
        for pid in self.ours.keys() - pids:
            del self.ours[pid]
        for pid in pids - self.foreign - self.ours.keys():
            self.classify(pid)
        now = collections.Counter()
        for pid, session in self.ours.items():
            status = slurp(f"/proc/{pid}/status")
            peak = status.partition(b"\nVmHWM:")[2].split(None, 1)[:1]
            if not peak:
                continue
            count = status.partition(b"\nThreads:")[2].split(None, 1)[0]
            now[session] += int(count)
            self.memory[session] = max(self.memory[session], int(peak[0]))
        for session, count in now.items():
            self.threads[session] = max(self.threads[session], count)


def autopsy(session, path):
    """Writes down what the threads of a session are doing."""
    with open(path, "w") as f:
        for pid in members(session):
            exe = f"/proc/{pid}/exe"
            f.write(f"=== process {pid} "
                    f"{os.readlink(exe) if os.path.exists(exe) else '-'}\n")
            f.write(slurp(f"/proc/{pid}/cmdline")
                    .replace(b"\0", b" ").decode(errors="replace") + "\n")
            for task in sorted(glob.glob(f"/proc/{pid}/task/*")):
                f.write(f"--- task {os.path.basename(task)}\n")
                for name in ("stat", "wchan", "syscall"):
                    text = slurp(f"{task}/{name}").decode(errors="replace")
                    f.write(f"{name}: {text.strip()}\n")
            f.flush()
            gdb(["-p", str(pid)], f)


def gdb(args, f):
    if not shutil.which("gdb"):
        f.write("(no gdb here, so no backtraces)\n")
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["gdb", "-nx", "-batch", "-ex", "set pagination off",
             "-ex", "info sharedlibrary", "-ex", "thread apply all bt 40",
             "-ex", "info registers", "-ex", "x/5i $pc",
             "-ex", f"source {ROOT}/tools/gmp-gdb.py", "-ex", "info gthreads",
             "-ex", "gthread apply all bt 40", *args],
            stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT,
            timeout=60)


def program_of(core):
    """The executable that left a core file: the first among the names of the
    files that it had mapped.
    """
    with open(core, "rb") as f:
        head = f.read(4 << 20)
    for found in re.finditer(rb"(/[!-~]{3,255})\0", head):
        path = found[1].decode()
        if ".so" not in os.path.basename(path) and os.path.isfile(path) \
                and os.access(path, os.X_OK):
            return path
    return "/nonexistent"


# --- one command -----------------------------------------------------------

class Process:
    def __init__(self, half, argv, preload, stdin=None, stdout=None, env=None,
                 cwd=None):
        self.half = half
        self.argv = [str(a) for a in argv]
        self.name = os.path.basename(self.argv[0])
        half.serial += 1
        stem = os.path.join(half.logs, f"{half.serial:02}-{self.name}")
        self.err = stem + ".err"
        self.out = stdout or stem + ".out"
        self.cwd = cwd or half.dir
        full = dict(half.base)
        if preload:
            full.update(half.preload)
        full.update(env or {})
        with open(stdin or os.devnull, "rb") as i, \
                open(self.out, "wb") as o, open(self.err, "wb") as e:
            self.began = time.monotonic()
            self.popen = subprocess.Popen(
                self.argv, stdin=i, stdout=o, stderr=e, env=full,
                cwd=self.cwd, start_new_session=True)
        self.pid = self.popen.pid
        if preload and half.preload:
            # For the backtrace of a crash; programs leave it off by default.
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(self.pid, resource.RLIMIT_CORE,
                                 (resource.RLIM_INFINITY,) * 2)
        self.pidfd = os.pidfd_open(self.pid)
        self.seconds = None
        self.cpu = 0
        self.memory = 0

    def running(self):
        return self.popen.returncode is None

    def ended(self, timeout, *others):
        """Waits so many seconds for the end of the command, or of one of the
        others.
        """
        if not self.running():
            return True
        poll = select.poll()
        for p in (self, *others):
            poll.register(p.pidfd, select.POLLIN)
        return self.pidfd in dict(poll.poll(timeout * 1000))

    def wait(self, timeout=None):
        """The exit status, negative for a signal.  Failure when it is late,
        or when a server ended under it.
        """
        timeout = timeout or self.half.timeout
        servers = [p for p in self.half.targets
                   if p.running() and p is not self]
        if not self.ended(timeout, *servers):
            if any(p.ended(0) for p in servers):
                self.kill()
                raise Failure(f"{self.name}: the server went away")
            path = self.half.autopsy(self)
            self.kill()
            raise Failure(f"{self.name}: still running after {timeout:g} s, "
                          f"threads in {path}", self.tail())
        if self.running():
            self.seconds = time.monotonic() - self.began
            self.reap()
        return self.popen.returncode

    def reap(self):
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.pidfd)
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        # A fresh process starts from our own peak: exec keeps ru_maxrss.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if usage.ru_maxrss > own:
            self.memory = usage.ru_maxrss

    def kill(self):
        """Ends the command and all that is left of its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in members(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.running():
            self.reap()

    def expect(self, status=0, timeout=None):
        """Failure unless the command ends with that status; None: any."""
        got = self.wait(timeout)
        if status is None and got >= 0:
            return
        if got != status:
            raise Failure(f"{self.name}: {self.describe(got)}", self.tail())

    def printed(self, pattern):
        """Waits until that is in what the command printed, and returns all.
        """
        end = time.monotonic() + self.half.timeout
        while True:
            text = slurp(self.out).decode(errors="replace")
            if re.search(pattern, text):
                return text
            if self.ended(0.01):
                raise Failure(f"{self.name}: {self.describe(self.wait())}",
                              self.tail())
            if time.monotonic() > end:
                raise Failure(f"{self.name}: no {pattern!r} printed, threads "
                              f"in {self.half.autopsy(self)}", self.tail())

    def describe(self, status):
        text = f"exit status {status}" if status >= 0 else \
            f"killed by {signal.Signals(-status).name}"
        if path := self.half.crash(self):
            text += f", backtrace in {path}"
        return text

    def tail(self, lines=15):
        text = ""
        for path in (self.out, self.err):
            data = slurp(path)[-8192:].decode(errors="replace")
            for line in data.splitlines()[-lines:]:
                if line.isprintable() or "\t" in line:
                    text += line[:200] + "\n"
        return text


# --- one side of the comparison --------------------------------------------

class Half:
    """dir is scratch of this half alone, shared belongs to both halves and
    holds what setup() made; logs survive a failure.
    """

    def __init__(self, dir, shared, logs, preload=None, timeout=120):
        for d in (dir, shared, logs):
            os.makedirs(d, exist_ok=True)
        self.dir = dir
        self.shared = shared
        self.logs = logs
        self.timeout = timeout
        self.preload = dict(preload or {})
        self.prefix = os.path.join(dir, "stats")
        # The library says the seed that it takes.
        self.noise = ""
        if self.preload:
            debug = self.preload.get("GMPDEBUG")
            self.noise = f"libgmpthread: {debug}\n" if debug else ""
            self.preload["GMPDEBUG"] = ",".join(
                filter(None, (debug, "stats=" + self.prefix)))
        self.base = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": dir, "TMPDIR": dir, "LC_ALL": "C.UTF-8",
        }
        self.serial = 0
        self.processes = []
        self.targets = []
        self.sampler = Sampler()
        self.sampler.start()
        self.clocked = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for p in self.processes:
            if p.running():
                if kind is not None and p in self.targets \
                        and isinstance(value, (Failure, OSError)):
                    value.autopsy = self.autopsy(p)
                p.kill()
        self.sampler.stop()

    @property
    def preloaded(self):
        return bool(self.preload)

    @property
    def mode(self):
        return self.preload.get("GMP_MODE", "native")

    @property
    def procs(self):
        """How many threads of the program can run at once here."""
        return int(self.preload.get("GMPPROCS") or
                   len(os.sched_getaffinity(0)))

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, argv, preload=True, **kw):
        try:
            p = Process(self, argv, preload, **kw)
        except FileNotFoundError as e:
            raise Failure(f"{e.filename} is missing: make deps") from None
        self.processes.append(p)
        if preload:
            self.targets.append(p)
            self.sampler.watch(p.pid)
        return p

    def finish(self, p, status, timeout):
        p.expect(status, timeout)
        err = slurp(p.err).decode(errors="replace")
        if self.noise:
            err = err.replace(self.noise, "")
        return Done(slurp(p.out).decode(errors="replace"), err, p.seconds)

    def run(self, argv, status=0, timeout=None, **kw):
        """Runs the program under test to its end."""
        return self.finish(self.start(argv, **kw), status, timeout)

    def tool(self, argv, status=0, timeout=None, **kw):
        """Runs something else: a client, a checker.  Never preloaded."""
        return self.finish(self.start(argv, preload=False, **kw), status,
                           timeout)

    @contextlib.contextmanager
    def server(self, argv, ready, stop=signal.SIGTERM, status=0, **kw):
        """Runs the program under test beside the body of the with statement.
        ready() says whether it answers; stop is a signal, or a function that
        asks the server to go.
        """
        p = self.start(argv, **kw)
        end = time.monotonic() + self.timeout
        while not ready():
            if p.ended(0.02):
                raise Failure(f"{p.name}: not up: {p.describe(p.wait())}",
                              p.tail())
            if time.monotonic() > end:
                raise Failure(f"{p.name}: not up after {self.timeout:g} s, "
                              f"threads in {self.autopsy(p)}", p.tail())
        try:
            yield p
        except (Failure, OSError) as e:
            if p.ended(0.5):
                raise Failure(f"{p.name}: {p.describe(p.wait())}",
                              p.tail()) from e
            raise
        if callable(stop):
            stop()
        else:
            os.kill(p.pid, stop)
        p.expect(status)

    @contextlib.contextmanager
    def clock(self):
        """What is done in here is the time of this half, instead of the run
        time of the programs.
        """
        began = time.monotonic()
        yield
        self.clocked = (self.clocked or 0) + time.monotonic() - began

    # What was measured.

    @property
    def seconds(self):
        if self.clocked is not None:
            return self.clocked
        return sum(p.seconds or 0 for p in self.targets)

    @property
    def cpu(self):
        return sum(p.cpu for p in self.targets)

    @property
    def memory(self):
        """Peak resident set of the largest process, in bytes."""
        return 1024 * max(max(p.memory, self.sampler.memory[p.pid])
                          for p in self.targets)

    @property
    def threads(self):
        """Peak of kernel threads; the library knows better than samples."""
        return max([s.get("ms_peak", 0) for s in self.counters().values()] +
                   [self.sampler.threads[p.pid] for p in self.targets])

    def counters(self):
        """What the library counted: {pid: {key: value}}."""
        found = {}
        for path in glob.glob(self.prefix + ".*"):
            found[int(path.rpartition(".")[2])] = stats = {}
            for line in slurp(path).replace(b"\0", b"\n").splitlines():
                words = line.split()
                if len(words) == 2 and words[1].isdigit():
                    stats[words[0].decode()] = int(words[1])
        return found

    def gs(self):
        return sum(s.get("gs_created", 0) for s in self.counters().values())

    def prove(self, gs=1, tree=False, in_kernel=None, native=0):
        """Failure unless the programs ran on the library's threads.

        gs: the least number of Gs.  tree: the threads are made by children
        of the program.  in_kernel: how many threads at most are inside a
        system call that blocks, each of them with a kernel thread of its own;
        None where the program has too few threads for that to show.  native:
        how many kernel threads there were natively.  An eighth of them is few
        in any case: on a busy machine short calls lose their Ps, as they wait
        for a CPU.
        """
        counters = self.counters()
        check(counters, "the preload was not in force: no counters")
        if not tree:
            check(any(p.pid in counters for p in self.targets),
                  "the preload was not in force in the program itself")
        check(self.gs() >= gs,
              f"{self.gs()} Gs were created, {gs} expected", str(counters))
        if in_kernel is not None and self.mode == "mn":
            most = max(in_kernel + self.procs + SPARE, native // 8)
            check(self.threads <= most,
                  f"{self.threads} kernel threads, at most {most} expected",
                  str(counters))

    # When it went wrong.

    def autopsy(self, p):
        path = os.path.join(self.logs, f"{p.name}.{p.pid}.threads")
        if not os.path.exists(path):
            autopsy(p.pid, path)
            with open(path, "a") as f:
                f.write(f"=== counters\n{self.counters()}\n")
        return path

    def crash(self, p):
        """Turns the core files of a command and its children, if there are
        any, into backtraces.
        """
        path = os.path.join(self.logs, f"{p.name}.{p.pid}.crash")
        cores = [c for c in glob.glob(os.path.join(self.dir, "**", "core*"),
                                      recursive=True)
                 if re.fullmatch(r"core(\.\d+)?", os.path.basename(c))
                 and os.path.isfile(c)]
        for core in cores:
            with open(path, "a") as f:
                gdb([program_of(core), core], f)
            os.unlink(core)
        if not cores:
            return None
        with open(path, "a") as f:
            f.write(f"=== counters\n{self.counters()}\n")
        return path


# --- what several programs need --------------------------------------------

def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def corpus(size, seed=1):
    """Bytes that compress about as well as text, the same ones every time."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randint(2, 9)).hex().encode()
             for _ in range(3000)]
    page = b" ".join(rng.choices(words, k=40000))
    out = bytearray()
    while len(out) < size:
        at = rng.randrange(len(page) - 400)
        out += page[at:at + rng.randint(20, 400)]
        out += rng.randbytes(4)
    return bytes(out[:size])


def corpusfile(directory, size, seed=1):
    """A file with corpus(size), made on the first call."""
    path = os.path.join(directory, f"corpus-{size}-{seed}")
    if not os.path.exists(path):
        with open(path, "wb") as f:
            f.write(corpus(size, seed))
    return path


def roundtrip(half, size, pack, unpack):
    """Packs a corpus and unpacks it again, by two commands that write to
    standard output; gives the digest of what was packed.
    """
    plain = corpusfile(half.shared, size)
    packed, again = half.path("packed"), half.path("again")
    half.run([*pack, plain], stdout=packed)
    half.run([*unpack, packed], stdout=again)
    check(sha256(again) == sha256(plain), "the round trip changed the data")
    return sha256(packed)


@contextlib.contextmanager
def alongside(count, work):
    """Runs work(0) to work(count - 1) on threads of their own, beside the body
    of the with statement, which gets the list of what they raised so far.  The
    first of these is raised when all have ended.
    """
    failures = []

    def guarded(n):
        try:
            work(n)
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=guarded, args=(n,), daemon=True)
               for n in range(count)]
    for t in threads:
        t.start()
    try:
        yield failures
    finally:
        for t in threads:
            t.join()
    if failures:
        raise failures[0]


def freeport():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def answers(address):
    """Whether somebody accepts connections there: a port or a path."""
    inet = isinstance(address, int)
    with socket.socket(socket.AF_INET if inet else socket.AF_UNIX) as s:
        return s.connect_ex(("127.0.0.1", address) if inet else address) == 0


class Wire:
    """A line-oriented client connection on loopback."""

    def __init__(self, port, timeout):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.sock.makefile("rwb")

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.file.write(data)
        self.file.flush()

    def line(self):
        got = self.file.readline()
        check(got.endswith(b"\r\n"), "the server closed the connection")
        return got[:-2].decode()

    def data(self, count):
        got = self.file.read(count + 2)
        check(len(got) == count + 2, "the server closed the connection")
        return got[:-2]
