# libgmpthread: POSIX threads as goroutines.  `make help` lists the targets.

VERSION := 0.1
ARCH ?= $(shell uname -m)
PREFIX ?= /usr/local
BUILD ?= release
# The top of everything that is built.
B ?= build
# Of `make soak`: rounds; for how long (HOURS=8); which guests (GUESTS='sig_*
# cancel_*'); a file where runs are counted, from one soak to the next
# (COUNTS=build/soak).
REPEAT ?= 1000

# V=1 shows the commands.
Q := $(if $(V),,@)

ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
# The distribution's, not one that a user's PATH puts before it.
PYTHON := /usr/bin/python3

BUILDS := release debug asan ubsan cov
ifeq ($(filter $(BUILDS),$(BUILD)),)
$(error BUILD=$(BUILD): not one of $(BUILDS))
endif
ifeq ($(wildcard arch/$(ARCH)),)
$(error no port for ARCH=$(ARCH): there are $(notdir $(patsubst %/,%,$(wildcard arch/*/))))
endif

OUT := $(B)$(if $(filter-out release,$(BUILD)),/$(BUILD))
OBJ := $(B)/obj/$(BUILD)
LIB := $(OUT)/libgmpthread.so
GMPRUN := $(OUT)/gmprun
GMPTOP := $(OUT)/gmp-top
MAN := $(wildcard tools/man/*.[17])
# Where gdb looks for what belongs to the library.
GMPGDB := $(LIB)-gdb.py

# --- flags ------------------------------------------------------------------
# CPPFLAGS, CFLAGS and LDFLAGS are the user's: they come last and stay as given.

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wundef -Wvla \
	-Wformat=2 $(WERROR)

CFLAGS_release := -O2 -g
CFLAGS_debug := -Og -g3
CFLAGS_asan := -O1 -g -fsanitize=address
LDFLAGS_asan := -fsanitize=address
# Traps need no runtime library, which a preloaded one could not bring along.
CFLAGS_ubsan := -O1 -g -fsanitize=undefined -fsanitize-undefined-trap-on-error
CFLAGS_cov := -O1 -g --coverage -fprofile-update=atomic
LDFLAGS_cov := --coverage

# Fortified headers define inline functions of the names that the shim defines.
# libunwind's directory comes last: it has an unwind.h, too.
CPP_ALL = -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -U_FORTIFY_SOURCE \
	-idirafter /usr/include/libunwind $(CPPFLAGS)
C_ALL = -std=gnu11 $(WARN) -fPIC -fvisibility=hidden -ftls-model=initial-exec \
	-fasynchronous-unwind-tables -fno-omit-frame-pointer -fno-plt \
	$(CFLAGS_$(BUILD)) $(CFLAGS)
LD_ALL = -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,--as-needed \
	$(LDFLAGS_$(BUILD)) $(LDFLAGS)
# clang's sanitizer is in the program, not in a library that can be named.
# A program's own function of the same name is not for our calls (Erlang's
# sigaction calls __sigaction).
LD_LIB = -shared -Wl,-Bsymbolic-functions -Wl,--version-script=arch/local.map \
	-Wl,-soname,libgmpthread.so -Wl,--exclude-libs,ALL \
	$(if $(filter asan,$(BUILD)),,-Wl,-z,defs)
# Both are part of libc since glibc 2.34.
LIBS := -ldl -lpthread

# --- sources ----------------------------------------------------------------

objects = $(addprefix $(OBJ)/,$(addsuffix .o,$(basename $(wildcard $(1)))))

CORE_OBJ := $(call objects,core/*.c arch/$(ARCH)/*.[cS])
LIB_OBJ := $(CORE_OBJ) $(call objects,shim/*.c)
UNWIND := $(B)/obj/libunwind.a
GMPRUN_OBJ := $(call objects,tools/gmprun/*.c tools/trace/*.c)
GMPTOP_OBJ := $(call objects,tools/gmp-top/*.c tools/trace/*.c)
# vfork.S is the shim's, although it is assembly.
UNIT_OBJ := $(filter-out %/vfork.o,$(CORE_OBJ))
UNIT_SRC := $(wildcard tests/core/test_*.c tests/arch/test_*.c)
UNIT := $(UNIT_SRC:%.c=$(OUT)/%) $(OUT)/tests/tools/test_top

# --- build ------------------------------------------------------------------

.DELETE_ON_ERROR:
.PHONY: all unit check demo bench bench-net bench-apps soak fuzz fuzz-top \
	fuzz-trace coverage lint format install uninstall deps clean help FORCE

all: $(LIB) $(GMPRUN) $(GMPTOP) $(GMPGDB) ## the library, gmprun and gmp-top (the default)

$(LIB): $(LIB_OBJ) $(UNWIND) arch/local.map
	@echo '  LD  $@'
	$(Q)$(CC) $(LD_LIB) -o $@ $(LIB_OBJ) $(UNWIND) $(LD_ALL) $(LIBS)

# LLVM's libunwind, whose archive is position independent.  What it would call of
# libc's is in core/unwind.c.
LIBUNWIND ?= $(lastword $(sort $(wildcard /usr/lib/llvm-*/lib/libunwind.a)))
UNWIND_CALLS := abort dl_iterate_phdr dladdr fflush fprintf free fwrite malloc \
	pthread_rwlock_rdlock pthread_rwlock_unlock pthread_rwlock_wrlock \
	snprintf __libunwind_Registers_x86_64_jumpto

$(UNWIND): $(LIBUNWIND) Makefile
	$(if $(LIBUNWIND),,$(error LLVM's libunwind.a is missing: make deps))
	@mkdir -p $(@D) && rm -f $@
	@echo '  AR  $@'
	$(Q)cd $(@D) && ar x $(LIBUNWIND) libunwind.cpp.o && \
	    objcopy $(foreach f,$(UNWIND_CALLS),--redefine-sym=$(f)=unwind_$(f)) \
	    libunwind.cpp.o && ar rc $(@F) libunwind.cpp.o

$(GMPGDB): tools/gmp-gdb.py | $(LIB)
	$(Q)ln -srf $< $@

TOP_LIBS := -ljson-c -ldw -lelf -l:libiberty.a

$(GMPTOP): $(GMPTOP_OBJ)
	@echo '  LD  $@'
	$(Q)$(CC) -o $@ $^ $(LD_ALL) -lncursesw -ltinfo $(TOP_LIBS)

$(GMPRUN): $(GMPRUN_OBJ)
	@echo '  LD  $@'
	$(Q)$(CC) -o $@ $^ $(LD_ALL)

# The profile that a former object wrote would not fit the new one.
$(OBJ)/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D) && rm -f $(@:.o=.gcda)
	@echo '  CC  $<'
	$(Q)$(CC) $(CPP_ALL) $(C_ALL) -MMD -MP -c -o $@ $<

$(OBJ)/%.o: %.S $(OBJ)/flags
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$(Q)$(CC) $(CPP_ALL) $(C_ALL) -MMD -MP -c -o $@ $<

# Another compiler or other flags: everything is built again.
FLAGS = $(CC) $(CPP_ALL) $(C_ALL) $(LD_ALL)
$(OBJ)/flags: FORCE
	@mkdir -p $(@D) $(OUT)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || \
	    printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@

# The tests of core/ and arch/, without the shim: Criterion uses threads, and
# must not run on the code under test.
UNIT_LIBS = $(shell $(PKG_CONFIG) --cflags --libs criterion) $(LIBS)

unit: $(UNIT)

$(OUT)/tests/%: tests/%.c $(UNIT_OBJ) $(UNWIND) $(OBJ)/flags
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$(Q)$(CC) $(CPP_ALL) $(C_ALL) -Wno-missing-prototypes -MMD -MP -MF $@.d \
	    -o $@ $< $(UNIT_OBJ) $(UNWIND) $(LD_ALL) $(UNIT_LIBS)

# gmp-top without its terminal and its way into a process.
TOP_SRC := $(addprefix tools/gmp-top/,snapshot.c hash.c graph.c model.c words.c \
	lines.c batch.c symbols.c namer.c stacks.c) tools/trace/files.c \
	tools/trace/text.c
TOP_OBJ := $(TOP_SRC:%.c=$(OBJ)/%.o)

$(OUT)/tests/tools/%: tests/tools/%.c $(TOP_OBJ) $(OBJ)/flags
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$(Q)$(CC) $(CPP_ALL) $(C_ALL) -Wno-missing-prototypes -MMD -MP -MF $@.d \
	    -o $@ $< $(TOP_OBJ) $(LD_ALL) $(TOP_LIBS) \
	    $(shell $(PKG_CONFIG) --cflags --libs criterion)

# Everything of gmp-top's and gmprun's that a hostile process can reach, but the
# system calls.
FUZZ := fuzz-top fuzz-trace
fuzz-top: FUZZ_SRC := $(TOP_SRC)
fuzz-trace: FUZZ_SRC := $(addprefix tools/trace/,events.c exports.c files.c \
	perfetto.c text.c)
# Executions of each.
FUZZRUNS ?= 1000000

fuzz: $(FUZZ) ## snapshots and traces of hostile processes (long; clang)

$(FUZZ): fuzz-%:
	@mkdir -p $(OUT)/fuzz/corpus-$*
	clang -std=gnu11 $(CPP_ALL) -g -O2 -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined -o $(OUT)/fuzz/$* \
	    tests/tools/fuzz_$*.c $(FUZZ_SRC) $(TOP_LIBS)
	$(OUT)/fuzz/$* -runs=$(FUZZRUNS) -max_len=8192 -rss_limit_mb=4096 \
	    -artifact_prefix=$(OUT)/fuzz/ \
	    $(OUT)/fuzz/corpus-$*

-include $(LIB_OBJ:.o=.d) $(GMPRUN_OBJ:.o=.d) $(GMPTOP_OBJ:.o=.d) $(UNIT:=.d)

# --- check ------------------------------------------------------------------

# The address sanitizer loads only into programs built for it.  Profiles cannot
# be written by the users that tests/tools runs gmprun as; libgcov complains.
GUEST := 'tests/guest/run --lib $(LIB)'
PARTS_release := tests/tools/run $(GUEST) tests/compat/run
PARTS_debug := tests/tools/run $(GUEST)
PARTS_ubsan := $(PARTS_debug)
PARTS_cov := $(GUEST)
PARTS := $(UNIT) $(PARTS_$(BUILD))
# For tests/tools, which test what was built here.
export GMP_OUT := $(OUT)

check: ## everything that is tested; ends with "N passed, N failed"
	@tools/deps $(PACKAGES) && $(MAKE) --no-print-directory all unit || \
	    { echo '0 passed, 1 failed'; exit 1; }
	@tests/lib/check $(PARTS)

demo: ## a program on 2,000 threads, natively and under the preload
	@tools/deps $(DEMO_PACKAGES)
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/demo.py

bench: all ## how fast, natively and under the preload (some minutes)
	$(PYTHON) tests/bench/run

bench-net: all ## echo servers, pipes and files, beside Go too (some minutes)
	$(PYTHON) tests/bench/run --net $(if $(shell command -v go),--go)

bench-apps: all ## servers under load, natively and preloaded (some minutes)
	tests/compat/bench --lib $(LIB)

soak: all ## every guest in all variants, REPEAT times over (1000)
	tests/guest/run --lib $(LIB) --variants all --repeat $(REPEAT) \
	    --jobs $$((8 * $$(nproc))) $(if $(HOURS),--hours $(HOURS)) \
	    $(if $(COUNTS),--counts $(COUNTS)) \
	    $(foreach g,$(GUESTS),'$(g)')

coverage: ## lines of core, shim and arch that the tests reach
	@find $(B)/obj/cov -name '*.gcda' -delete 2>/dev/null || true
	$(MAKE) --no-print-directory BUILD=cov CC=gcc check
	@echo && find $(B)/obj/cov -name '*.gcda' | sort | xargs gcov -nr | \
	    awk -F"[:%']" '/^File/ { f = $$2 } \
	    /^Lines executed/ && f ~ /^(core|shim|arch)/ && !(f in seen) { \
	        seen[f]; printf "%6.1f%%  %s\n", $$2, f }'

# --- lint -------------------------------------------------------------------

C_FILES = $(wildcard core/*.c shim/*.c arch/$(ARCH)/*.c tools/*/*.c)
# Assembly in a header is not for clang-format.
FORMAT_FILES = $(filter-out %/asm.h,$(shell find core shim arch tools tests \
	-name '*.[ch]'))

LINT_gcc := -Werror -Wduplicated-cond -Wlogical-op -Wjump-misses-init \
	-Wnull-dereference
LINT_clang := -Werror -Watomic-implicit-seq-cst -Wthread-safety \
	-Wnull-dereference

lint: ## layers, manual, symbols, both compilers, static analysis, layout
	tools/lint/layers
	mandoc -T lint -W warning $(MAN)
	$(MAKE) --no-print-directory B=$(B)/lint/gcc CC=gcc WERROR='$(LINT_gcc)'
	$(MAKE) --no-print-directory B=$(B)/lint/clang CC=clang \
	    WERROR='$(LINT_clang)'
	tools/lint/exports $(B)/lint/gcc/libgmpthread.so
	tools/lint/exports $(B)/lint/clang/libgmpthread.so
	cppcheck -q --enable=warning,performance,portability --inline-suppr \
	    --error-exitcode=1 --std=c11 -D__$(ARCH)__ \
	    $(foreach n,1 2 3 4,'-DDTRACE_PROBE$(n)(...)=(void)0') \
	    $(CPP_ALL) $(C_FILES)
	@status=0; for f in $(C_FILES); do echo "  TIDY  $$f"; \
	    clang-tidy --quiet $$f -- -std=gnu11 $(CPP_ALL) || status=1; \
	done; exit $$status
	clang-format --dry-run -Werror $(FORMAT_FILES)

format: ## lays the sources out as .clang-format says
	clang-format -i $(FORMAT_FILES)

# --- install ----------------------------------------------------------------

DOC := $(DESTDIR)$(PREFIX)/share/doc/libgmpthread

install: all ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(LIB) $(DESTDIR)$(PREFIX)/lib/libgmpthread.so
	install -D -m 755 $(GMPRUN) $(DESTDIR)$(PREFIX)/bin/gmprun
	install -D -m 755 $(GMPTOP) $(DESTDIR)$(PREFIX)/bin/gmp-top
	install -D -m 644 tools/gmp-gdb.py \
	    $(DESTDIR)$(PREFIX)/lib/libgmpthread.so-gdb.py
	install -D -m 644 README.md $(DOC)/README.md
	@for page in $(MAN); do \
	    dir=$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}; \
	    install -d $$dir && rm -f $$dir/$${page##*/} && \
	    sed 's,/usr/local,$(PREFIX),g' $$page >$$dir/$${page##*/} && \
	    chmod 644 $$dir/$${page##*/} || exit 1; \
	done

uninstall: ## removes what install wrote
	rm -f $(DESTDIR)$(PREFIX)/lib/libgmpthread.so
	rm -f $(DESTDIR)$(PREFIX)/lib/libgmpthread.so-gdb.py
	rm -f $(DESTDIR)$(PREFIX)/bin/gmprun $(DESTDIR)$(PREFIX)/bin/gmp-top
	rm -f $(DOC)/README.md
	@for page in $(MAN); do \
	    rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; \
	done

clean: ## removes everything that was built
	rm -rf $(B)

# --- packages ---------------------------------------------------------------

# The last ones are the programs of the matrix.
DEMO_PACKAGES := gcc libc6-dev make python3 libncurses-dev libjson-c-dev \
	systemtap-sdt-dev libdw-dev libiberty-dev libunwind-14-dev
PACKAGES = $(DEMO_PACKAGES) pkg-config libcriterion-dev gdb mandoc \
	$(shell sed 's/\#.*//' tests/compat/packages 2>/dev/null)

deps: ## installs the Debian or Ubuntu packages that are missing
	@tools/deps $(PACKAGES)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20
	@echo; echo '  BUILD=release|debug|asan|ubsan|cov  (now $(BUILD), in $(OUT)/)'
	@echo '  CC=gcc|clang  PREFIX=/usr/local  DESTDIR=  CFLAGS=  LDFLAGS='
