"""slapd: a listener, and a pool of threads that change and search LMDB's memory
while it is locked by mutexes that processes share.
"""

import contextlib
import os

from harness import alongside, answers, check, freeport

CLIENTS = 8
PEOPLE = 150

# The listener, and what those clients keep busy.
GS = 1 + 4

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/pid
argsfile {dir}/args
threads 16
database mdb
suffix "dc=test"
rootdn "cn=admin,dc=test"
rootpw secret
directory {dir}/db
maxsize 33554432
index objectClass,uid eq
"""
ROOT = """dn: dc=test
objectClass: dcObject
objectClass: organization
o: test
dc: test
"""
PERSON = """dn: uid=p{n},dc=test
objectClass: inetOrgPerson
uid: p{n}
cn: Person {n}
sn: {n}
mail: p{n}@test

"""


@contextlib.contextmanager
def slapd(half):
    port = freeport()
    os.mkdir(half.path("db"))
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir))
    with half.server(["/usr/sbin/slapd", "-d", "0", "-f", half.path("conf"),
                      "-h", f"ldap://127.0.0.1:{port}"],
                     lambda: answers(port)):
        yield f"ldap://127.0.0.1:{port}"


def run(half):
    with slapd(half) as url:
        def add(name, text):
            with open(half.path(name), "w") as f:
                f.write(text)
            half.tool(["/usr/bin/ldapadd", "-x", "-H", url, "-D",
                       "cn=admin,dc=test", "-w", "secret", "-f",
                       half.path(name)])

        def search(what):
            return half.tool(["/usr/bin/ldapsearch", "-x", "-LLL", "-H", url,
                              "-b", "dc=test", what]).out

        def client(n):
            add(f"people{n}", "".join(PERSON.format(n=i) for i in
                                      range(n, PEOPLE, CLIENTS)))
            for _ in range(4):
                mine = search(f"(uid=p{n})")
                check(f"mail: p{n}@test" in mine, "an entry is missing", mine)

        add("root", ROOT)
        with alongside(CLIENTS, client):
            pass
        return sorted(search("(uid=p*)").split("\n\n"))
