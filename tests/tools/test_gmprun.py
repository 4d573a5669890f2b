"""gmprun: what it starts, what it refuses, and what it says.

The tests run a copy of gmprun that stands beside a library of their own, which
tells what it was loaded into: so they test gmprun alone.
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from built import GMPRUN, LIBRARY, environment, run

FAILED, CANNOT_RUN, NOT_FOUND = 125, 126, 127

LIBRARY_SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

__attribute__((constructor)) static void
tell(void)
{
	if (getenv("TELL") != NULL)
		fprintf(stderr, "preloaded %s\n", (char *)getauxval(AT_EXECFN));
}
"""

PROGRAM_SOURCE = r"""
#include <stdio.h>

int
main(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		printf("%s|", argv[i]);
	return argc - 1;
}
"""

# Any user but root; whoever it is, it owns nothing here.
NOBODY = 65534


def compile_c(source, output, *flags):
    subprocess.run([os.environ.get("CC", "gcc"), "-x", "c", "-", "-o", output,
                    *flags], input=source, text=True, check=True)


def write(path, content, mode=0o755):
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(path, mode)
    return path


def loader():
    """The path of this system's dynamic loader."""
    words = subprocess.check_output(["ldd", program], text=True).split()
    return next(w for w in words if os.path.basename(w).startswith("ld-"))


def setUpModule():
    global top, gmprun, library, program
    top = tempfile.mkdtemp(prefix="gmprun-")
    os.chmod(top, 0o755)
    bin_, lib = os.path.join(top, "bin"), os.path.join(top, "lib")
    os.mkdir(bin_)
    os.mkdir(lib)
    gmprun = shutil.copy(GMPRUN, bin_)
    library = os.path.join(lib, "libgmpthread.so")
    compile_c(LIBRARY_SOURCE, library, "-shared", "-fPIC")
    program = os.path.join(top, "program")
    compile_c(PROGRAM_SOURCE, program)


def tearDownModule():
    shutil.rmtree(top)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(dir=top)
        os.chmod(self.dir, 0o755)

    def path(self, name):
        return os.path.join(self.dir, name)

    def gmprun(self, *args, env=None, **options):
        return run(gmprun, *args, env=env or environment(TELL="1"), **options)

    def runs(self, *args, status=0, **options):
        """The program has run, and with the library; returns its output."""
        result = self.gmprun(*args, **options)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertIn("preloaded ", result.stderr)
        return result.stdout

    def refused(self, *args, status, says, names=None, **options):
        """Nothing has run; one line says why, and names the program."""
        result = self.gmprun(*args, **options)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Agmprun: [^\n]*\n\Z")
        self.assertIn(says, result.stderr)
        if names:
            self.assertIn(names, result.stderr)

    def patched(self, name, *changes):
        """A copy of the program with bytes at offsets changed."""
        with open(program, "rb") as f:
            image = bytearray(f.read())
        for offset, data in changes:
            image[offset:offset + len(data)] = data
        return write(self.path(name), bytes(image))


class Options(Case):
    def variables(self, *options, **env):
        out = self.runs(*options, "/usr/bin/env", env=environment(
            TELL="1", **env))
        return dict(line.split("=", 1) for line in out.splitlines()
                    if "=" in line)

    def test_nothing_set_but_the_preload(self):
        env = self.variables()
        self.assertEqual(env["LD_PRELOAD"], library)
        for name in "GMPPROCS", "GMP_MODE", "GMPDEBUG":
            self.assertNotIn(name, env)

    def test_what_is_set_stays_without_an_option(self):
        env = self.variables(GMPPROCS="3", GMP_MODE="off", GMPDEBUG="x=1")
        self.assertEqual(env["GMPPROCS"], "3")
        self.assertEqual(env["GMP_MODE"], "off")
        self.assertEqual(env["GMPDEBUG"], "x=1")

    def test_options_set_variables(self):
        env = self.variables("-P", "7", "-mbound", "-d", "a=1,b=2", "--",
                             GMPPROCS="3")
        self.assertEqual(env["GMPPROCS"], "7")
        self.assertEqual(env["GMP_MODE"], "bound")
        self.assertEqual(env["GMPDEBUG"], "a=1,b=2")

    def test_procs_are_1_to_4096(self):
        for good in "1", "4096":
            self.assertEqual(self.variables("-P", good)["GMPPROCS"], good)
        for bad in ("0", "4097", "-1", "+2", " 2", "2x", "", "two", "0x2",
                    "1e2", "99999999999999999999"):
            with self.subTest(bad):
                self.refused("-P", bad, program, status=FAILED,
                             says=f"-P {bad}: not a number from 1 to 4096")

    def test_modes(self):
        for good in "off", "bound", "mn":
            self.assertEqual(self.variables("-m", good)["GMP_MODE"], good)
        for bad in "", "on", "MN", "off ":
            with self.subTest(bad):
                self.refused("-m", bad, program, status=FAILED,
                             says=f"-m {bad}: not one of off, bound, mn")

    def test_other_preloads_come_after(self):
        other = "/usr/lib/other.so"
        env = self.variables(LD_PRELOAD=other)
        self.assertEqual(env["LD_PRELOAD"], f"{library}:{other}")

    def test_only_one_copy_of_ours(self):
        env = self.variables(
            LD_PRELOAD=f"/opt/a.so {library}:/x/libgmpthread.so::/opt/b.so ")
        self.assertEqual(env["LD_PRELOAD"],
                         f"{library}:/opt/a.so:/opt/b.so")

    def test_arguments_of_the_program_are_its_own(self):
        out = self.runs(program, "-P", "x", "--", "-h", "", status=5)
        self.assertEqual(out, f"{program}|-P|x|--|-h||")

    def test_double_dash_ends_the_options(self):
        write(self.path("-h"), "#!/bin/sh\necho dash\n")
        out = self.runs("--", "-h", env=environment(TELL="1", PATH=self.dir))
        self.assertEqual(out, "dash\n")

    def test_wrong_usage(self):
        self.refused(status=FAILED, says="no program given")
        self.refused("-P", status=FAILED, says="-P: an argument is missing")
        self.refused("-x", program, status=FAILED, says="-x: no such option")

    def test_help_and_version(self):
        result = self.gmprun("-h")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertTrue(result.stdout.startswith("usage: gmprun "))
        result = self.gmprun("-V")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"\Agmprun \d+\.\d+\n\Z")


class Status(Case):
    def test_of_the_program(self):
        self.runs("/bin/sh", "-c", "exit 42", status=42)

    def test_signal_of_the_program(self):
        self.runs("/bin/sh", "-c", "kill -TERM $$", status=-15)

    def test_gmprun_becomes_the_program(self):
        process = subprocess.Popen(
            [gmprun, "/bin/sh", "-c", "echo $$"], env=environment(),
            stdout=subprocess.PIPE, text=True)
        self.assertEqual(int(process.communicate()[0]), process.pid)


class Finding(Case):
    """The program in PATH, as execvp(3) finds it."""

    def in_path(self, *dirs, name="tool", status=0, cwd=None):
        return self.runs(name, env=environment(TELL="1", PATH=":".join(dirs)),
                         status=status, cwd=cwd)

    def make(self, where, mode=0o755):
        os.makedirs(self.path(where), exist_ok=True)
        return write(os.path.join(self.path(where), "tool"),
                     f"#!/bin/sh\necho {where}\n", mode)

    def test_first_one_wins(self):
        self.make("a")
        self.make("b")
        self.assertEqual(self.in_path(self.path("a"), self.path("b")), "a\n")

    def test_what_cannot_be_executed_is_passed_over(self):
        self.make("a", mode=0o644)
        os.makedirs(self.path("b/tool"))
        self.make("c")
        dirs = [self.path(d) for d in ("none", "a", "b", "c", "a/tool")]
        self.assertEqual(self.in_path(*dirs), "c\n")

    def test_empty_element_is_the_working_directory(self):
        self.make("a")
        for path in "", ":/none", "/none:", "/none::/none2":
            with self.subTest(path):
                self.assertEqual(self.in_path(path, cwd=self.path("a")), "a\n")

    def test_relative_element(self):
        self.make("a")
        self.assertEqual(self.in_path("a", cwd=self.dir), "a\n")

    def test_slash_means_no_search(self):
        self.make("a")
        self.refused("./tool", cwd=self.dir, status=NOT_FOUND,
                     says="No such file", names="./tool",
                     env=environment(PATH=self.path("a")))
        self.runs("a/tool", cwd=self.dir)

    def test_without_path(self):
        self.runs("true", env=environment(TELL="1", PATH=None))

    def test_argv0_is_as_typed(self):
        out = self.in_path(top, name="program")
        self.assertEqual(out, "program|")

    def test_missing(self):
        self.refused("no-such-program", status=NOT_FOUND,
                     says="not found in PATH", names="no-such-program")
        self.refused("/no/such/program", status=NOT_FOUND,
                     says="No such file", names="/no/such/program")
        self.refused("", status=NOT_FOUND, says="not found")

    def test_not_executable(self):
        path = self.make("a", mode=0o644)
        self.refused(path, status=CANNOT_RUN, says="not executable",
                     names=path)
        self.refused("tool", status=CANNOT_RUN, says="not executable",
                     names=path, env=environment(PATH=self.path("a")))

    def test_directory(self):
        self.refused(self.dir, status=CANNOT_RUN, says="a directory",
                     names=self.dir)
        self.refused("./", status=CANNOT_RUN, says="a directory")

    def test_device(self):
        self.refused("/dev/null", status=CANNOT_RUN, says="not executable")

    def test_file_as_a_directory(self):
        self.refused(program + "/x", status=CANNOT_RUN,
                     says="Not a directory")

    def test_one_line_whatever_the_name(self):
        self.refused("a\nb\x1b[1m", status=NOT_FOUND, says="a?b?[1m")


class Scripts(Case):
    def test_interpreter(self):
        path = write(self.path("s"), "#!/bin/sh\necho \"$0\" \"$@\"\n")
        self.assertEqual(self.runs(path, "x", "y z"), f"{path} x y z\n")

    def test_interpreter_with_blanks_and_argument(self):
        path = write(self.path("s"), "#! \t/bin/sh -u \necho $#\n")
        self.assertEqual(self.runs(path, "x"), "1\n")

    def test_env(self):
        path = write(self.path("s"),
                     "#!/usr/bin/env python3\nprint('snake')\n")
        self.assertEqual(self.runs(path), "snake\n")

    def test_last_line_without_newline(self):
        path = write(self.path("s"), f"#!{program}")
        self.runs(path, status=1)

    def test_without_hash_bang_it_is_the_shells(self):
        path = write(self.path("s"), "echo \"plain $1\"\n")
        self.assertEqual(self.runs(path, "text"), "plain text\n")
        empty = write(self.path("e"), "")
        self.runs(empty)

    def test_hash_bang_and_nothing_is_the_shells_too(self):
        path = write(self.path("s"), "#! \necho shell\n")
        self.assertEqual(self.runs(path), "shell\n")

    def chain(self, n):
        """n scripts, each the interpreter of the next, over the program."""
        last = program
        for i in range(n):
            last = write(self.path(f"s{i}"), f"#!{last}\n")
        return last

    def test_as_many_as_the_kernel_follows(self):
        native = run(self.chain(5))
        self.assertEqual(native.returncode, 5)
        self.runs(self.chain(5), status=5)

    def test_more_than_the_kernel_follows(self):
        path = self.chain(6)
        with self.assertRaises(OSError):
            run(path)
        self.refused(path, status=CANNOT_RUN, says="more than 5 scripts",
                     names=path)

    def test_a_script_that_interprets_itself(self):
        path = self.path("s")
        write(path, f"#!{path}\n")
        self.refused(path, status=CANNOT_RUN, says="more than 5 scripts")

    def test_interpreter_missing(self):
        path = write(self.path("s"), "#!/no/such/interpreter -x\n")
        self.refused(path, status=CANNOT_RUN, names=path,
                     says="its interpreter /no/such/interpreter: No such file")

    def test_interpreter_with_a_carriage_return(self):
        path = write(self.path("s"), "#!/bin/sh\r\necho x\r\n")
        self.refused(path, status=CANNOT_RUN, says="/bin/sh?: No such file")

    def test_interpreter_not_executable(self):
        tool = write(self.path("i"), "#!/bin/sh\n", mode=0o644)
        path = write(self.path("s"), f"#!{tool}\n")
        self.refused(path, status=CANNOT_RUN, says="Permission denied",
                     names=tool)

    def test_interpreter_static(self):
        static = self.path("static")
        compile_c(PROGRAM_SOURCE, static, "-static")
        path = write(self.path("s"), f"#!{static}\n")
        self.refused(path, status=CANNOT_RUN, says="statically linked",
                     names=static)

    def test_binary_nonsense(self):
        path = write(self.path("s"), b"MZ\x90\x00\x03\x00")
        self.refused(path, status=CANNOT_RUN, names=path,
                     says="neither an ELF program nor a script")


class Elf(Case):
    def test_position_dependent(self):
        path = self.path("p")
        compile_c(PROGRAM_SOURCE, path, "-no-pie")
        self.runs(path)

    def test_static(self):
        for flag in "-static", "-static-pie":
            with self.subTest(flag):
                path = self.path("p" + flag)
                compile_c(PROGRAM_SOURCE, path, flag)
                self.refused(path, status=CANNOT_RUN,
                             says="statically linked", names=path)

    def test_loader_as_the_program(self):
        self.assertEqual(self.runs(loader(), program, "a", status=1),
                         f"{program}|a|")

    def test_other_word_size(self):
        path = self.patched("p", (4, b"\x01"))
        self.refused(path, status=CANNOT_RUN, names=path,
                     says="built for another architecture")

    def test_other_machine(self):
        for machine in 183, 243, 0:
            path = self.patched("p", (18, struct.pack("<H", machine)))
            self.refused(path, status=CANNOT_RUN, names=path,
                         says="built for another architecture")

    def test_object_file(self):
        path = self.patched("p", (16, b"\x01\x00"))
        self.refused(path, status=CANNOT_RUN, says="not an ELF program")

    def test_cut_off(self):
        with open(program, "rb") as f:
            image = f.read()
        for n in 4, 20, 63, 70, 200:
            with self.subTest(n):
                path = write(self.path("p"), image[:n])
                result = self.gmprun(path)
                self.assertEqual(result.returncode, CANNOT_RUN)
                self.assertRegex(result.stderr, r"\Agmprun: [^\n]*\n\Z")

    def test_other_libc(self):
        path = self.path("p")
        compile_c(PROGRAM_SOURCE, path,
                  "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
        self.refused(path, status=CANNOT_RUN, names=path,
                     says="linked against another libc than glibc (its "
                     "loader is /lib/ld-musl-x86_64.so.1")

    def test_loader_missing(self):
        missing = self.path(os.path.basename(loader()))
        path = self.path("p")
        compile_c(PROGRAM_SOURCE, path, f"-Wl,--dynamic-linker={missing}")
        self.refused(path, status=CANNOT_RUN, names=path,
                     says=f"its loader {missing}: No such file")


class Privilege(Case):
    """The kernel's AT_SECURE, which makes the loader drop LD_PRELOAD."""

    def setUp(self):
        super().setUp()
        if os.getuid() != 0:
            self.skipTest("only root can make privileged programs")

    def copy(self, mode, uid=0, gid=0):
        path = shutil.copy(program, self.path("p"))
        os.chown(path, uid, gid)
        os.chmod(path, mode)
        return path

    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def told(self, path, **options):
        """What the loader does when nobody asks gmprun."""
        env = environment(TELL="1", LD_PRELOAD=library)
        return "preloaded" in run(path, env=env, **options).stderr

    def runs(self, path, status=0, **options):
        self.assertTrue(self.told(path, **options))
        return super().runs(path, status=status, **options)

    def refused(self, path, **options):
        others = {k: v for k, v in options.items()
                  if k not in ("status", "says", "names")}
        self.assertFalse(self.told(path, **others))
        super().refused(path, **options)

    def test_set_user_id(self):
        path = self.copy(0o4755)
        self.refused(path, status=CANNOT_RUN, says="set-user-ID", names=path,
                     **self.as_nobody)

    def test_set_user_id_of_root_run_by_root(self):
        self.runs(self.copy(0o4755))

    def test_set_user_id_of_another_run_by_root(self):
        path = self.copy(0o4755, uid=NOBODY)
        self.refused(path, status=CANNOT_RUN, says="set-user-ID")

    def test_set_user_id_of_oneself(self):
        self.runs(self.copy(0o4755, uid=NOBODY), **self.as_nobody)

    def test_set_group_id(self):
        path = self.copy(0o2755)
        self.refused(path, status=CANNOT_RUN, says="set-group-ID",
                     **self.as_nobody)
        self.runs(path)

    def test_set_group_id_without_execution_is_a_lock(self):
        self.runs(self.copy(0o2745, uid=NOBODY), **self.as_nobody)

    without_new_privileges = (
        "setpriv", "--no-new-privs", "--reuid", str(NOBODY), "--regid",
        str(NOBODY), "--clear-groups", "--")

    def test_set_user_id_without_new_privileges(self):
        path = self.copy(0o4755)
        result = run(*self.without_new_privileges, gmprun, path,
                     env=environment(TELL="1"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"preloaded {path}", result.stderr)

    def test_file_capabilities_without_new_privileges(self):
        path = self.capable(0x02000000, flags=1)
        result = run(*self.without_new_privileges, "env",
                     f"LD_PRELOAD={library}", path, env=environment(TELL="1"))
        self.assertNotIn(f"preloaded {path}", result.stderr)
        result = run(*self.without_new_privileges, gmprun, path,
                     env=environment(TELL="1"))
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)

    def capable(self, revision, flags=0, bits=1 << 10):
        """A program with capabilities, as setcap(8) would write them."""
        path = self.copy(0o755)
        value = struct.pack("<IIIII", revision | flags, bits, 0, 0, 0)
        os.setxattr(path, "security.capability", value)
        return path

    def test_file_capabilities(self):
        path = self.capable(0x02000000, flags=1)
        self.refused(path, status=CANNOT_RUN, says="file capabilities",
                     names=path, **self.as_nobody)

    def test_file_capabilities_not_effective_from_the_start(self):
        self.refused(self.capable(0x02000000), status=CANNOT_RUN,
                     says="file capabilities", **self.as_nobody)

    def test_file_capabilities_of_another_name_space(self):
        path = self.copy(0o755)
        os.setxattr(path, "security.capability", struct.pack(
            "<IIIIII", 0x03000001, 1 << 10, 0, 0, 0, 1000))
        self.runs(path, **self.as_nobody)

    def test_file_capabilities_run_by_root(self):
        self.runs(self.capable(0x02000000, flags=1))

    def test_privileged_interpreter(self):
        tool = self.copy(0o4755)
        path = write(self.path("s"), f"#!{tool}\n")
        self.refused(path, status=CANNOT_RUN, says="set-user-ID", names=tool,
                     **self.as_nobody)

    def test_privileged_script_is_not(self):
        path = write(self.path("s"), "#!/bin/sh\nexit 3\n")
        os.chmod(path, 0o4755)
        self.runs(path, status=3, **self.as_nobody)

    def test_executable_but_not_readable(self):
        self.runs(self.copy(0o711), **self.as_nobody)


class Library(Case):
    def installed(self, *places):
        """gmprun in dir/bin, and the library at places under dir."""
        os.mkdir(self.path("bin"))
        mine = shutil.copy(gmprun, self.path("bin"))
        for place in places:
            os.makedirs(os.path.dirname(self.path(place)), exist_ok=True)
            shutil.copy(library, self.path(place))
        return mine

    def preload(self, mine, cwd=None):
        result = run(mine, "/usr/bin/printenv", "LD_PRELOAD", cwd=cwd)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.strip()

    def test_beside_gmprun(self):
        mine = self.installed("bin/libgmpthread.so", "lib/libgmpthread.so")
        self.assertEqual(self.preload(mine), self.path("bin/libgmpthread.so"))

    def test_in_lib(self):
        mine = self.installed("lib/libgmpthread.so")
        self.assertEqual(self.preload(mine), self.path("lib/libgmpthread.so"))

    def test_by_a_relative_path_and_a_link(self):
        self.installed("lib/libgmpthread.so")
        os.symlink("bin/gmprun", self.path("link"))
        self.assertEqual(self.preload("./link", cwd=self.dir),
                         self.path("lib/libgmpthread.so"))

    def test_missing(self):
        result = run(self.installed(), program)
        self.assertEqual(result.returncode, FAILED)
        self.assertIn("libgmpthread.so is neither in", result.stderr)

    def test_broken(self):
        mine = self.installed()
        write(self.path("bin/libgmpthread.so"), "nonsense")
        result = run(mine, program)
        self.assertEqual(result.returncode, FAILED)
        self.assertIn("not a shared library", result.stderr)

    def test_path_that_ld_preload_cannot_hold(self):
        for name in "a b", "a:b", "$LIB":
            with self.subTest(name):
                where = self.path(name)
                os.mkdir(where)
                mine = shutil.copy(gmprun, where)
                shutil.copy(library, where)
                result = run(mine, program)
                self.assertEqual(result.returncode, FAILED)
                self.assertIn("LD_PRELOAD cannot hold", result.stderr)


class Built(Case):
    """gmprun and the library as they were built."""

    def test_the_library_is_in_the_program(self):
        result = run(GMPRUN, sys.executable, "-c",
                     "print(open('/proc/self/maps').read())")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        self.assertIn(os.path.realpath(LIBRARY), result.stdout)
