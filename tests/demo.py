#!/usr/bin/python3
"""Shows the library at work: one Python program natively and preloaded."""

import argparse
import os
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "lib"))

import harness  # noqa: E402

PROGRAM = ["/usr/bin/python3", "-IB", os.path.join(HERE, "demo_guest.py")]


def measure(scratch, kind, preload, timeout):
    with harness.Half(os.path.join(scratch, kind), scratch,
                      os.path.join(scratch, "logs", kind), preload,
                      timeout) as half:
        words = half.run(PROGRAM).out.split()
    harness.check(len(words) == 2, "the program did not finish its sum")
    if preload:
        half.prove(gs=int(words[0]))
    return half, {
        "threads": f"{int(words[0]):,}",
        "kernel threads": f"{half.threads:,}",
        "time": f"{half.seconds:.2f} s",
        "processor time": f"{half.cpu:.2f} s",
        "peak memory": f"{half.memory / 2**20:.1f} MiB",
        "result": words[1],
    }


def show(native, preloaded):
    """The figures side by side, and what they say.  True when it worked."""
    a, figures = native
    b, preloaded_figures = preloaded
    print(f"{'':<16}{'native':>18}{'with the library':>18}")
    for key, value in figures.items():
        print(f"{key:<16}{value:>18}{preloaded_figures[key]:>18}")
    print()
    if figures["result"] != preloaded_figures["result"]:
        print("The results differ: the library broke this program.")
        return False
    print(f"An unmodified CPython ran its {figures['threads']} threads on "
          f"{b.threads:,} kernel threads instead of {a.threads:,}, with the "
          "same result.")
    return True


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--lib", default=harness.LIBRARY, metavar="PATH",
                    help="the library (default: build/libgmpthread.so)")
    ap.add_argument("--timeout", type=float, default=120, metavar="SECONDS")
    opts = ap.parse_args()
    if not os.path.exists(opts.lib):
        ap.error(f"no library {opts.lib}: run make first")
    signal.signal(signal.SIGTERM, lambda *ignored: sys.exit(143))
    scratch = tempfile.mkdtemp(prefix="gmp-demo-")
    worked = False
    try:
        print("Running a Python program with 2,000 threads, first natively, "
              "then under the preload...\n", flush=True)
        worked = show(
            measure(scratch, "native", None, opts.timeout),
            measure(scratch, "preloaded", harness.variant(opts.lib),
                    opts.timeout))
    except harness.Failure as e:
        print(f"demo: {e.reason}\n{e.detail}", file=sys.stderr)
    finally:
        if worked:
            shutil.rmtree(scratch, ignore_errors=True)
    return 0 if worked else 1


if __name__ == "__main__":
    sys.exit(main())
