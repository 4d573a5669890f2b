"""git: delta search, index-pack and grep on four threads."""

import random
import shutil

from harness import check

GS = 8
TREE = True

FILES = 60
COMMITS = 120


def history():
    """A stream for git fast-import: files that grow and change a little."""
    rng = random.Random(2)
    words = [rng.randbytes(5).hex() for _ in range(2000)]
    files = [[" ".join(rng.choices(words, k=8)) for _ in range(500)]
             for _ in range(FILES)]
    for commit in range(COMMITS):
        yield ("commit refs/heads/main\n"
               f"committer A U Thor <author@example.com> {10**9 + commit} "
               f"+0000\ndata 2\nc\n")
        for n in range(FILES) if commit == 0 else rng.sample(range(FILES), 12):
            for _ in range(10):
                files[n][rng.randrange(len(files[n]))] = " ".join(
                    rng.choices(words, k=8))
            text = "\n".join(files[n]) + "\n"
            yield f"M 100644 inline dir{n % 5}/file{n}\ndata {len(text)}\n"
            yield text


def setup(half):
    stream = half.path("stream")
    with open(stream, "w") as f:
        f.writelines(history())
    repo = half.shared + "/repo.git"
    half.tool(["/usr/bin/git", "init", "-q", "--bare", repo])
    half.tool(["/usr/bin/git", "fast-import", "--quiet"], stdin=stream,
              cwd=repo)


def run(half):
    repo = half.path("repo.git")
    shutil.copytree(half.shared + "/repo.git", repo)

    def git(run, *args):
        return run(["/usr/bin/git", "-c", "pack.threads=4",
                    "-c", "grep.threads=4", *args], cwd=repo).out

    git(half.run, "repack", "-a", "-d", "-f", "-q", "--window=20")
    git(half.run, "clone", "-q", "--no-local", "--bare", repo,
        half.path("clone.git"))
    lines = git(half.run, "grep", "--threads=4", "-c", "ab.*cd", "main")
    fsck = git(half.tool, "fsck", "--full", "--strict")
    check(fsck == "", "git fsck complains", fsck)
    objects = git(half.tool, "rev-list", "--objects", "--all")
    count = git(half.tool, "--git-dir", half.path("clone.git"), "rev-list",
                "--objects", "--all")
    check(objects == count, "the clone has other objects")
    return {"grep": lines, "objects": sorted(objects.splitlines())}
