"""gdb's view of a program that runs with libgmpthread: all threads of the
program, of which gdb knows those that are on a kernel thread at the moment.

	info gthreads				lists them
	gthread ID				selects one, and its frames
	gthread apply all|ID... COMMAND		a command for several

It works on processes and on core dumps, and writes to neither.  While a thread
that is on no kernel thread is selected, an unwinder makes what a switch has
saved of it the caller of frame 0 of the kernel thread that gdb has selected.
Calls of functions of the program are refused meanwhile: gdb would make them on
that kernel thread.  When the program goes on, the unwinder has nothing to say any more.

Structures and names come from the debug information of the library.
"""

import contextlib
import os
import re
import struct
import unicodedata

import gdb
import gdb.unwinder
from gdb.FrameDecorator import FrameDecorator

# The registers that a switch saves, and their names in struct gobuf.
SAVED = {"rip": "pc", "rsp": "sp", "rbp": "bp", "rbx": "bx", "r12": "r12",
         "r13": "r13", "r14": "r14", "r15": "r15"}

# What signal handlers return to (mov $15,%rax; syscall), and rip in the
# ucontext_t that lies above the return address.
SIGRETURN = b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"
UCONTEXT_RIP = 168

# In these a kernel thread may have the thread pointer of one thread and the
# frames of another.
SWITCHES = ("gswitch", "gogo", "mcall1")

HASP = 0  # m->nop
MODE_OFF = 0  # sched.mode
PAGESIZE = 4096
PT_LOAD, PF_W = 1, 2
G0SIZE = 1 << 20  # more than the frames of g0 take
TIDBASE = 1 << 22  # where the kernel's thread ids end
MAXFRAMES = 100


# --- the library's memory ----------------------------------------------------

def memory(address, size):
    return gdb.selected_inferior().read_memory(address, size).tobytes()


def word(address):
    return struct.unpack("<Q", memory(address, 8))[0]


def register(frame, name):
    return int(frame.read_register(name)) & 0xffffffffffffffff


def shown(text):
    """As a terminal can show it, \\x before a byte that is no part of a
    character; two backslashes stand for one.
    """
    escapes = {"\\": r"\\"}
    for c in (decoded := text.decode(errors="surrogateescape")):
        if not c.isprintable():
            escapes[c] = rf"\x{ord(c) & 0xff:02x}" \
                if ord(c) < 0x80 or "\udc80" <= c <= "\udcff" \
                else rf"\u{ord(c):04x}"
    return decoded.translate(str.maketrans(escapes))


def width(text):
    """Columns on a terminal."""
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "FW" else 1
               for c in text)


class Layout:
    """Where fields of a structure are.  Paths are as in C: "sched.sp"."""

    def __init__(self, kind, *paths):
        self.fields = {}
        self.size = 0
        for path in paths:
            of, at = kind, 0
            for name in path.split("."):
                field = of[name]
                of, at = field.type.strip_typedefs(), at + field.bitpos // 8
            self.fields[path] = self.code(of), at
            self.size = max(self.size, at + of.sizeof)

    @staticmethod
    def code(kind):
        if kind.code == gdb.TYPE_CODE_ARRAY:
            return f"<{kind.sizeof}s"
        letter = {1: "b", 2: "h", 4: "i", 8: "q"}[kind.sizeof]
        signed = kind.code == gdb.TYPE_CODE_INT and kind.is_signed
        return "<" + (letter if signed else letter.upper())

    def offset(self, path):
        return self.fields[path][1]

    def read(self, address):
        data = memory(address, self.size)
        return {path: struct.unpack_from(code, data, at)[0]
                for path, (code, at) in self.fields.items()}

    def chain(self, address, link):
        """Addresses and fields of the members of a list."""
        seen = set()
        while address != 0 and address not in seen:
            seen.add(address)
            fields = self.read(address)
            yield address, fields
            address = fields[link]


class Library:
    """The library in a program."""

    def __init__(self, objfile):
        self.objfile = objfile
        g, m, p = (self.value(name).type.target()
                   for name in ("allgs", "allm", "allp"))
        pd = self.value("allpds").type.target()
        self.g = Layout(
            g, "goid", "head.tid", "status", "waitaddr", "waitreason", "m",
            "alllink", "preempted", "bound", "fresh", "tcb", "thread.name",
            "thread.state", "thread.fn", "thread.c11fn",
            *("sched." + field for field in SAVED.values()))
        self.m = Layout(m, "id", "g0", "tcb", "curg", "nop", "p", "alllink")
        self.p = Layout(p.target(), "id")
        self.pd = Layout(pd, "fd", "alllink")
        self.sched = g["sched"].bitpos // 8
        self.seq = pd["seq"].bitpos // 8
        reasons = self.value("waitreasons")
        self.reasons = {value: (name, reasons[value].string())
                        for value, name in self.names("waitreason")
                        if value <= reasons.type.range()[1]}
        self.status = {value: name[1:]
                       for value, name in self.names("gstatus")}
        # What says who holds a lock: glibc's, and the library keeps to it.
        self.mutex = Layout(self.type("pthread_mutex_t"), "__data.__owner")
        self.rwlock = Layout(self.type("pthread_rwlock_t"),
                             "__data.__cur_writer")

    def type(self, name):
        block = self.symbol("allgs").symtab.static_block()
        return gdb.lookup_type(name, block).strip_typedefs()

    def names(self, enum):
        return [(field.enumval, field.name)
                for field in self.type("enum " + enum).fields()]

    def symbol(self, name):
        symbol = self.objfile.lookup_global_symbol(name) or \
            self.objfile.lookup_static_symbol(name)
        if symbol is None:
            raise gdb.GdbError(f"{self.objfile.filename}: no debug "
                               f"information, or no {name} in it.")
        return symbol

    def value(self, name):
        return self.symbol(name).value()

    def threads(self):
        """All that there are, by goid."""
        gs = [G(self, address, fields) for address, fields
              in self.g.chain(int(self.value("allgs")), "alllink")]
        if not any(gp.alive() for gp in gs):
            raise gdb.GdbError("The program has made no thread yet.")
        if int(self.value("sched")["mode"]) == MODE_OFF:
            raise gdb.GdbError("The program runs with GMP_MODE=off: its "
                               "threads are those of info threads.")
        objects = Objects(self, gs)
        for gp in gs:
            gp.objects = objects
        return sorted(gs, key=lambda gp: gp["goid"])


def library():
    """That of the current program, or an error that says why there is none."""
    if not gdb.selected_inferior().pid:
        raise gdb.GdbError("No program: run one, attach to a process, or open "
                           "a core dump.")
    for objfile in gdb.objfiles():
        if not hasattr(objfile, "gmp") and \
                objfile.lookup_global_symbol("newprocready") is not None:
            objfile.gmp = Library(objfile)
        if hasattr(objfile, "gmp"):
            return objfile.gmp
    for objfile in gdb.objfiles():
        if "libgmpthread.so" in (objfile.filename or ""):
            raise gdb.GdbError(f"{objfile.filename}: no debug information.")
    raise gdb.GdbError("The program runs without libgmpthread.")


class G:
    """A thread of the program, as it was when the program stopped."""

    def __init__(self, lib, address, fields):
        self.lib = lib
        self.address = address
        self.fields = fields
        self.objects = None

    def __getitem__(self, path):
        return self.fields[path]

    def status(self):
        return self.lib.status.get(self["status"], "?")

    def alive(self):
        return self["goid"] != 0 and self.status() not in ("idle", "dead")

    def name(self):
        return shown(self["thread.name"].partition(b"\0")[0])

    def start(self):
        return self["thread.fn"] or self["thread.c11fn"]

    def state(self):
        status = self.status()
        if status == "runnable":
            if self["fresh"]:
                return "runnable, new"
            return "runnable, preempted" if self["preempted"] else status
        # One with a kernel thread of its own waits as it runs.
        if status == "waiting" or (self["bound"] and self["waitaddr"]):
            return self.objects.waited_for(self)
        return status

    def describe(self):
        name = f' "{self.name()}"' if self.name() else ""
        return f"gthread {self['goid']} (tid {self['head.tid']}{name})"


class Objects:
    """What threads wait for."""

    def __init__(self, lib, gs):
        self.lib = lib
        self.by_tid = {gp["head.tid"]: gp["goid"] for gp in gs if gp.alive()}
        self.descriptors = {
            address + lib.seq + 4 * mode: fields["fd"]
            for address, fields in lib.pd.chain(int(lib.value("allpds")),
                                                "alllink")
            for mode in (0, 1)}

    def waited_for(self, gp):
        reason, text = self.lib.reasons.get(gp["waitreason"], ("", "?"))
        address = gp["waitaddr"]
        if reason == "WAITNONE":
            return "not started"
        if reason == "WAITIO" and address in self.descriptors:
            return f"{text} {self.descriptors[address]}"
        # A word of the thread's own says nothing.
        if reason in ("WAITSLEEP", "WAITSIGNAL", "WAITIO", "WAITPOLL"):
            return text
        owner = self.owner(reason, address)
        if reason == "WAITJOIN":
            return f"{text} {owner or ''}"
        return f"{text} {address:#x}" + (f" of {owner}" if owner else "")

    def owner(self, reason, address):
        """The thread that holds it, or is to end."""
        tid = 0
        with contextlib.suppress(gdb.MemoryError):
            if reason == "WAITMUTEX":
                tid = self.lib.mutex.read(address)["__data.__owner"]
            elif reason == "WAITRWLOCK":
                tid = self.lib.rwlock.read(address)["__data.__cur_writer"]
            elif reason == "WAITJOIN":
                address -= self.lib.g.offset("thread.state")
                tid = self.lib.g.read(address)["head.tid"]
        return self.by_tid.get(tid)


# --- what gdb has selected ---------------------------------------------------

class Selection:
    """The thread whose frames gdb shows in place of a kernel thread's own."""

    def __init__(self):
        self.gp = None
        self.thread = None
        self.registers = None
        self.runs = 0
        self.calls = True

    def shown(self):
        """The thread, when the kernel thread that is selected stands for it."""
        if self.gp is None or gdb.selected_thread() != self.thread:
            return None
        return self.gp

    def set(self, gp, thread):
        if self.gp is not None:
            self.gp = self.thread = None
            self.allow(self.calls)
            gdb.frame_filters.pop(Labels.name, None)
            gdb.invalidate_cached_frames()
        if gp is not None:
            thread.switch()
            self.registers = self.of(gdb.newest_frame())
            self.gp, self.thread = gp, thread
            # They would run on the kernel thread, in the middle of whatever
            # it does, and not as the thread that is shown.
            self.calls = gdb.parameter("may-call-functions")
            self.allow(False)
            gdb.frame_filters[Labels.name] = Labels()
            gdb.invalidate_cached_frames()

    @staticmethod
    def allow(calls):
        gdb.execute(f"set may-call-functions {'on' if calls else 'off'}")

    @staticmethod
    def of(frame):
        """What frame 0 has, and what is inlined there, before it."""
        return register(frame, "rip"), register(frame, "rsp")

    def stands_for(self, frame):
        return self.of(frame) == self.registers

    def caller(self):
        """The first frame of the thread's own."""
        frame = gdb.newest_frame()
        while frame is not None and self.stands_for(frame):
            frame = frame.older()
        return frame

    def drop(self):
        self.set(None, None)


selection = Selection()


@contextlib.contextmanager
def kept():
    """What is selected comes back afterwards, unless the program has run."""
    gp, thread, runs = selection.gp, selection.thread, selection.runs
    selected, frame = gdb.selected_thread(), None
    with contextlib.suppress(gdb.error):
        frame = gdb.selected_frame()
    try:
        yield
    finally:
        if selection.runs == runs:
            selection.set(gp, thread)
            if selected is not None and selected.is_valid():
                selected.switch()
                if frame is not None and frame.is_valid():
                    frame.select()


# --- which thread is on which kernel thread ----------------------------------

def on(frame, lib, by_tcb, by_m):
    """The address of the G whose frames a kernel thread has that is at this
    frame 0, or None.
    """
    if frame.name() not in SWITCHES:
        tcb = register(frame, "fs_base")
        if tcb not in by_m:
            return by_tcb.get(tcb)
        # libc changes a kernel thread's ids under that one's own thread
        # pointer; so are g0's frames, which lie below where they begin.
        address, top = by_m[tcb]
        below = top - register(frame, "rsp")
        return None if 0 <= below < G0SIZE else address
    older = frame.older()
    if older is None:
        return None
    # The caller is in one of these struct gobuf: to, or from.
    to, sp = register(frame, "rsi"), register(older, "rsp")
    with contextlib.suppress(gdb.MemoryError):
        if word(to + lib.g.offset("sched.sp") - lib.sched) == sp:
            return to - lib.sched
    return register(frame, "rdi") - lib.sched


def kernel_threads(lib, gs, threads=None, visit=None):
    """By the addresses of Gs, gdb's threads that they are on; of the others the
    registers are saved.  visit(address) is called while such a thread is
    selected.
    """
    alive = {gp.address for gp in gs if gp.alive()}
    by_tcb = {gp["tcb"]: gp.address for gp in gs if gp.alive()}
    by_m = {}
    for _, mp in lib.m.chain(int(lib.value("allm")), "alllink"):
        if mp["curg"] in alive and mp["tcb"] not in by_tcb:
            by_m[mp["tcb"]] = mp["curg"], lib.g.read(mp["g0"])["sched.sp"]
    found = {}
    with kept():
        selection.drop()
        for thread in threads or gdb.selected_inferior().threads():
            # In a core dump gdb takes all threads of libc's list for kernel
            # threads, and ours are on that.
            if thread.ptid[1] >= TIDBASE:
                continue
            with contextlib.suppress(gdb.error):
                thread.switch()
                here = on(gdb.newest_frame(), lib, by_tcb, by_m)
                if here in alive:
                    found[here] = thread
                    if visit is not None:
                        visit(here)
    return found


# --- where a thread is in the program ----------------------------------------

def located(function, line):
    if line.symtab is None or line.line == 0:
        return function
    return f"{function} at {os.path.basename(line.symtab.filename)}:{line.line}"


class Places:
    """Names for addresses in the program, each looked up once."""

    def __init__(self, lib):
        self.lib = lib
        self.names = {}
        self.owns = {}
        self.restorers = {}
        self.file = gdb.solib_name(int(lib.value("newprocready").address))

    def ours(self, pc):
        if pc not in self.owns:
            self.owns[pc] = gdb.solib_name(pc) == self.file
        return self.owns[pc]

    def name(self, pc):
        if pc not in self.names:
            self.names[pc] = located(self.function(pc), gdb.find_pc_line(pc))
        return self.names[pc]

    @staticmethod
    def function(pc):
        block = gdb.block_for_pc(pc)
        while block is not None and block.function is None:
            block = block.superblock
        if block is not None:
            return block.function.print_name
        text = gdb.execute(f"info symbol {pc:#x}", to_string=True)
        found = re.match(r"(.*?)( \+ \d+)? in section ", text)
        return found[1] if found else f"{pc:#x}"

    def of_frames(self, frame):
        """The innermost function that is not the library's."""
        for _ in range(MAXFRAMES):
            if not self.ours(frame.pc()):
                break
            older = frame.older()
            if older is None:
                break
            frame = older
        return located(frame.name() or f"{frame.pc():#x}", frame.find_sal())

    def of_saved(self, gp):
        """The same of a thread that is on no kernel thread.  The library's code
        keeps frame pointers: no need to have gdb unwind ten thousand stacks.
        """
        if gp["fresh"]:
            return self.function(gp.start()) if gp.start() else ""
        pc, bp = gp["sched.pc"], gp["sched.bp"]
        try:
            for _ in range(MAXFRAMES):
                if not self.ours(pc):
                    return self.name(pc - 1)
                top = bp + 16
                bp, pc = struct.unpack("<QQ", memory(bp, 16))
                if self.leaves_handler(pc):
                    # A preempted one is wherever it was.
                    return self.name(word(top + UCONTEXT_RIP))
        except gdb.MemoryError:
            pass
        return "?"

    def leaves_handler(self, pc):
        """What the kernel has handlers return to."""
        if pc not in self.restorers:
            self.restorers[pc] = memory(pc, len(SIGRETURN)) == SIGRETURN
        return self.restorers[pc]


# --- a thread's frames -------------------------------------------------------

class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """The caller of frame 0 has the saved registers of the selected thread."""

    def __init__(self):
        super().__init__("libgmpthread")

    def __call__(self, pending):
        gp = selection.shown()
        if gp is None:
            return None
        saved = {name: gp["sched." + field] for name, field in SAVED.items()}
        # Unwinders look for a caller's function before the address where it
        # goes on, and for a thread that has not run that is none of its own.
        if gp["fresh"]:
            saved["rip"] += 1
        sp = saved["rsp"]
        if gp["fresh"] and selection.of(pending) == (saved["rip"], sp):
            saved = {"rip": word(sp), "rsp": sp + 8}
            sp += 8
        elif not selection.stands_for(pending):
            return None
        # gdb wants the caller of a frame to be above it.
        pc = pending.read_register("rip")
        info = pending.create_unwind_info(
            FrameId(gdb.Value(sp).cast(pc.type), pc))
        for name, value in saved.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


class Label(FrameDecorator):
    """Frame 0 in a backtrace: the kernel thread's, of no interest here."""

    def function(self):
        gp = selection.shown()
        return f"<{gp.describe()}: {gp.state()}>"

    def address(self):
        return None

    def filename(self):
        return None

    def line(self):
        return None

    def frame_args(self):
        return None

    def frame_locals(self):
        return None


class Labels:
    """The frame filter for it."""

    name = "libgmpthread"
    enabled = True
    priority = 100

    def filter(self, frames):
        for frame in frames:
            inner = frame.inferior_frame()
            if selection.shown() is None or not selection.stands_for(inner):
                yield frame
            elif inner.type() != gdb.INLINE_FRAME:
                yield Label(frame)


def on_cont(_):
    selection.runs += 1
    selection.drop()


# --- commands ----------------------------------------------------------------

def select(gp, thread):
    """Makes gp, which is on that kernel thread or on none, gdb's thread."""
    selection.drop()
    if thread is not None:
        thread.switch()
        return
    if gp["sched.pc"] == 0:
        raise gdb.GdbError(f"{gp.describe()} is {gp.state()}, but on none of "
                           "the kernel threads here.")
    selection.set(gp, gdb.selected_thread() or
                  gdb.selected_inferior().threads()[0])
    caller = selection.caller()
    if caller is None:
        selection.drop()
        raise gdb.GdbError(f"{gp.describe()}: gdb finds no frames.")
    caller.select()


def current(lib, gs):
    """The thread of the program that is selected, or None."""
    gp, thread = selection.shown(), gdb.selected_thread()
    if gp is not None or thread is None:
        return gp
    on_it = kernel_threads(lib, gs, [thread])
    return next((gp for gp in gs if gp.address in on_it), None)


def find(gs, text):
    """The thread with that id: goid, what gettid() says, or a pthread_t."""
    number = int(gdb.parse_and_eval(text))
    for what in "goid", "head.tid", "tcb":
        same = [gp for gp in gs if gp[what] == number]
        for gp in same:
            if gp.alive():
                return gp
        if same:
            raise gdb.GdbError(f"gthread {text} has ended.")
    raise gdb.GdbError(f"No gthread {text}: see info gthreads.")


def several(gs, words):
    """Takes ids and ranges of goids off a list of words: those threads."""
    chosen = []
    while words and re.fullmatch(r"\d+(-\d+)?|all", words[0]):
        text = words.pop(0)
        first, dash, last = text.partition("-")
        if text == "all" or dash:
            chosen += [gp for gp in gs if gp.alive() and (
                text == "all" or int(first) <= gp["goid"] <= int(last))]
        else:
            chosen.append(find(gs, text))
    return chosen


class InfoGthreads(gdb.Command):
    """List the threads of a program that runs with libgmpthread.
Usage: info gthreads [-limit N] [ID...] [WORD...]
IDs are the list's, or what gettid() says in a thread, or 3-5; the lines of the
others are left out, and those in which a WORD is missing.  With -limit the list
ends after N lines.  A star marks the thread whose frames gdb shows.  M is the
number that the library has for its kernel thread, in braces gdb's; P is what it
holds to run; Function is the innermost one that is not of the library."""

    def __init__(self):
        super().__init__("info gthreads", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        lib = library()
        words = gdb.string_to_argv(argument)
        limit = None
        if words[:1] == ["-limit"]:
            if len(words) < 2 or not words[1].isdigit():
                raise gdb.GdbError("-limit: a number is wanted.")
            limit = int(words[1])
            del words[:2]
        gs = lib.threads()
        chosen = several(gs, words) or several(gs, ["all"])
        rows = Rows(lib, gs).of(chosen, words, limit)
        table = [Rows.HEAD, *rows]
        widths = [max(width(row[i]) for row in table) for i in range(7)]
        for row in table:
            print(" ".join(cell + " " * (columns - width(cell)) for
                           cell, columns in zip(row, [*widths, 0])).rstrip())
        if len(rows) < len(chosen):
            print(f"{len(rows)} of {len(chosen)} gthreads")


class Rows:
    """Lines of the list."""

    HEAD = (" ", "Id", "Tid", "State", "M", "P", "Name", "Function")

    def __init__(self, lib, gs):
        self.lib = lib
        self.places = Places(lib)
        self.functions = {}
        self.threads = kernel_threads(lib, gs, visit=self.visit)
        self.current = current(lib, gs)

    def visit(self, address):
        self.functions[address] = self.places.of_frames(gdb.newest_frame())

    def of(self, gs, words, limit):
        rows = []
        for gp in gs:
            if limit is not None and len(rows) == limit:
                break
            row = self.row(gp)
            if all(any(word in cell for cell in row) for word in words):
                rows.append(row)
        return rows

    def row(self, gp):
        thread = self.threads.get(gp.address)
        m = p = ""
        if thread is not None and gp["m"] != 0:
            mp = self.lib.m.read(gp["m"])
            m = "bound" if gp["bound"] else str(mp["id"])
            m += f" {{{thread.num}}}"
            if mp["nop"] == HASP and mp["p"] != 0:
                p = str(self.lib.p.read(mp["p"])["id"])
        here = self.current is not None and \
            self.current.address == gp.address
        function = self.functions[gp.address] if thread is not None else \
            self.places.of_saved(gp)
        return ("*" if here else " ", str(gp["goid"]), str(gp["head.tid"]),
                gp.state(), m, p, gp.name(), function)


class Gthread(gdb.Command):
    """Select a thread of a program that runs with libgmpthread.
Usage: gthread [ID]
ID is a number of "info gthreads", what gettid() says in the thread, or its
pthread_t; expressions of the program will do.  Without ID it says which thread
is selected.
Commands for frames and variables work on the thread until the program goes on.
One that is on no kernel thread borrows that which is selected: its frame 0
stays in place, and the thread's are its callers.  Commands that run the program
(step, finish, ...) act on the kernel thread, and functions of the program cannot
be called: may-call-functions is off meanwhile.  Nothing is written."""

    def __init__(self):
        super().__init__("gthread", gdb.COMMAND_STACK, prefix=True)

    def invoke(self, argument, from_tty):
        lib = library()
        gs = lib.threads()
        if argument:
            gp = find(gs, argument)
            select(gp, kernel_threads(lib, gs).get(gp.address))
            print(f"[Switching to {gp.describe()}: "
                  f"{gp.state()}]")
            gdb.execute("frame")
            return
        gp = current(lib, gs)
        if gp is None:
            print("[The kernel thread runs no gthread]")
        else:
            print(f"[Current is {gp.describe()}: "
                  f"{gp.state()}]")


class GthreadNone(gdb.Command):
    """Show the kernel thread's own frames again.
Usage: gthread none"""

    def __init__(self):
        super().__init__("gthread none", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        selection.drop()
        gdb.execute("frame")


class GthreadApply(gdb.Command):
    """Apply a command to threads of a program that runs with libgmpthread.
Usage: gthread apply ID... COMMAND
       gthread apply all COMMAND
IDs are as for "info gthreads".  An error of COMMAND is printed, and the next
thread follows."""

    def __init__(self):
        super().__init__("gthread apply", gdb.COMMAND_STACK)

    def complete(self, text, word):
        return gdb.COMPLETE_COMMAND if " " in text.lstrip() else ["all"]

    def invoke(self, argument, from_tty):
        lib = library()
        gs = lib.threads()
        words = argument.split()
        chosen = several(gs, words)
        if not chosen or not words:
            raise gdb.GdbError("Usage: gthread apply all|ID... COMMAND")
        # As it was written, with its blanks.
        command = re.match(r"(\s*(\d+(-\d+)?|all)\b)+\s+(.*)", argument)[4]
        threads = kernel_threads(lib, gs)
        runs = selection.runs
        with kept():
            for gp in chosen:
                print(f"\n{gp.describe()}: {gp.state()}")
                try:
                    select(gp, threads.get(gp.address))
                    gdb.execute(command, from_tty)
                except gdb.error as e:
                    print(e)
                if selection.runs != runs:
                    raise gdb.GdbError("The program has run.")


class GthreadGcore(gdb.Command):
    """Save a core dump of a process that runs with libgmpthread.
Usage: gthread gcore [FILE]
As gcore, which gives up on a mapping at the first page that it cannot read, as
are the guard pages of stacks: this one goes on behind them."""

    def __init__(self):
        super().__init__("gthread gcore", gdb.COMMAND_FILES,
                         gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        library()
        pid = gdb.selected_inferior().pid
        name = argument or f"core.{pid}"
        gdb.execute(f"gcore {name}")
        try:
            with open(name, "r+b") as core, \
                    open(f"/proc/{pid}/pagemap", "rb") as pagemap:
                for address, at, size in writable(core):
                    for page in used(pagemap, address, size):
                        with contextlib.suppress(gdb.MemoryError):
                            data = memory(page, PAGESIZE)
                            core.seek(at + page - address)
                            core.write(data)
        except OSError as e:
            raise gdb.GdbError(str(e)) from None
        print("The stacks are in it too")


def writable(core):
    """The segments of a core file that are: address, place in it, size."""
    header = core.read(64)
    at, = struct.unpack_from("<Q", header, 32)
    size, n = struct.unpack_from("<HH", header, 54)
    core.seek(at)
    table = core.read(size * n)
    for i in range(n):
        kind, flags, at, address, _, length = struct.unpack_from(
            "<IIQQQQ", table, i * size)
        if kind == PT_LOAD and flags & PF_W and length != 0:
            yield address, at, length


def used(pagemap, address, size):
    """The pages of a range that are in memory or swapped out."""
    pagemap.seek(address // PAGESIZE * 8)
    entries = pagemap.read(size // PAGESIZE * 8)
    for i, (entry,) in enumerate(struct.iter_unpack("<Q", entries)):
        if entry >> 62:
            yield address + i * PAGESIZE


gdb.unwinder.register_unwinder(None, Unwinder(), replace=True)
gdb.events.cont.connect(on_cont)
gdb.events.exited.connect(on_cont)
InfoGthreads()
Gthread()
GthreadNone()
GthreadApply()
GthreadGcore()
