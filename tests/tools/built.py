"""What `make` has built, and how the tests call it."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
OUT = os.path.join(ROOT, os.environ.get("GMP_OUT", "build"))
LIBRARY = os.path.join(OUT, "libgmpthread.so")
GMPRUN = os.path.join(OUT, "gmprun")

# What the preload reads.
OURS = ("LD_PRELOAD", "GMPPROCS", "GMP_MODE", "GMPDEBUG", "GMPTRACE")


def environment(**changes):
    """This process's environment without OURS, with changes (None removes)."""
    env = {k: v for k, v in os.environ.items() if k not in OURS}
    # A make below us gets the variables that ours was given, not its jobs.
    env["MAKEFLAGS"] = " ".join(
        word for word in env.get("MAKEFLAGS", "").split()
        if not word.startswith(("-j", "--jobserver")))
    env.update(changes)
    return {k: v for k, v in env.items() if v is not None}


def run(*command, env=None, **options):
    """Runs a command to its end; status, output and errors as text."""
    return subprocess.run(
        command, env=env or environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=120, **options)
