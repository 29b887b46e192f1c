# mtlswrap: `make help` lists the targets.
BUILD  ?= build
PREFIX ?= /usr/local
OPT    ?= -O2 -g
WARN   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread -Iinclude $(WARN) $(OPT) $(SANITIZE) $(CFLAGS)
ifeq ($(origin CC),default)
CC     := gcc
endif
ARCH   := $(shell uname -m)

# The core is what every wrapped process loads; the engine holds OpenSSL and IPsec-MB and is loaded
# by the core at the first matching connection.
# First what every start of a wrapped program runs, so that it lies on few pages.
CORE   := $(wildcard preload/*.c) $(filter-out %_explain.c %_lint.c %_query.c,$(wildcard preload/policy/*.c)) \
    $(patsubst %,preload/hooks/%.c,exec_env closing receive process) $(patsubst %,preload/conn/%.c,fdtable streams moving)
CORE   += $(filter-out $(CORE),$(wildcard preload/hooks/*.c preload/conn/*.c preload/policy/*.c))
ENGINE := $(filter-out $(if $(filter x86_64,$(ARCH)),,%_ipsecmb.c),$(wildcard preload/engine/*.c preload/tls/*.c))
CLI    := $(wildcard preload/cli/*.c) $(wildcard preload/policy/*.c) $(wildcard preload/tls/ca*.c) preload/engine/libctx.c
UNIT   := $(wildcard tests/unit/*.c)
FUZZERS = $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/fuzzer/%,$(wildcard tests/fuzz/$(or $(ONLY),fuzz_*).c))
ROOT    = $(DESTDIR)$(PREFIX)
comma  := ,

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CORE_LIBS   := -Wl,-u,ini_parse_stream,-Bstatic -linih -Wl,-Bdynamic -ldl
# The lookups that preload/tls/known.c does in OpenSSL's stead.
KNOWN := $(patsubst %,-Wl$(comma)--wrap=EVP_%_fetch,MD KDF MAC CIPHER KEYMGMT KEYEXCH SIGNATURE) \
    $(patsubst %,-Wl$(comma)--wrap=OSSL_DECODER_%,CTX_new_for_pkey from_data CTX_free) -Wl,--wrap=__sprintf_chk \
    -Wl,--wrap=d2i_SSL_SESSION
ENGINE_LIBS := $(KNOWN) -Wl,-Bstatic -lssl -lcrypto $(if $(filter x86_64,$(ARCH)),-lIPSec_MB) -Wl,-Bdynamic -ldl
CLI_LIBS    := -Wl,-Bstatic -lcrypto -linih -lyaml -Wl,-Bdynamic -ldl
SHARED      := -shared -Wl,-z,now,-z,relro,-z,defs,--exclude-libs,ALL,--as-needed
# Every start of a wrapped program maps and relocates the core: few mappings, and no lookups in itself.
CORE_SHARED := -Wl,-z,noseparate-code,-Bsymbolic-functions

all: $(BUILD)/libmtlswrap.so $(BUILD)/libmtlswrap-engine.so $(BUILD)/mtlswrap ## build everything

$(BUILD)/libmtlswrap.so: $(call obj,$(CORE)) $(BUILD)/hooks.map
	$(CC) $(SHARED) $(CORE_SHARED) $(SANITIZE) -Wl,--version-script=$(BUILD)/hooks.map -pthread -o $@ $(CORE_LIBS) $(call obj,$(CORE))
$(BUILD)/libmtlswrap-engine.so: $(call obj,$(ENGINE)) preload/engine/engine.map
	$(CC) $(SHARED) $(SANITIZE) -Wl,-Bsymbolic,--gc-sections,--version-script=preload/engine/engine.map -pthread -o $@ $(call obj,$(ENGINE)) $(ENGINE_LIBS)
$(BUILD)/mtlswrap: $(call obj,$(CLI))
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(CLI_LIBS)
$(BUILD)/hooks.map: include/hooks.def
	@mkdir -p $(@D)
	@{ echo '{ global:'; sed -n -E 's/^(HOOK|TWIN)\(([A-Za-z0-9_]*).*/  \2;/p' $<; echo 'local: *; };'; } >$@
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# A unit test links what it uses of everything but the hooks and the calls they stand in for.
$(BUILD)/parts.a: $(call obj,$(filter-out %/cli/main.c,$(sort $(ENGINE) $(CLI) preload/real_find.c)))
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/parts.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(ENGINE_LIBS) $(CLI_LIBS) -lcriterion

$(BUILD)/contract: $(call obj,$(wildcard tests/contract/*.c)) $(BUILD)/parts.a
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(ENGINE_LIBS) $(CLI_LIBS) -lcriterion

# The runtime of a sanitizer calls these while it starts, when instrumented code cannot run yet.
$(call obj,preload/real.c preload/hooks/limits.c): CFLAGS_ALL := $(filter-out -fsanitize=%,$(CFLAGS_ALL))

-include $(patsubst %.o,%.d,$(call obj,$(CORE) $(ENGINE) $(CLI) $(UNIT) $(wildcard tests/contract/*.c)))

deps: ## install the Debian packages that are missing
	tests/deps.sh
demo: ## install what it needs, build, and show the main job done on real programs
	@tests/deps.sh demo
	+@$(MAKE) -s all
	@BUILD=$(abspath $(BUILD)) tests/demo/demo.sh
test: ## install what is missing, build, and run every test
	tests/deps.sh test
	+$(MAKE) check
check: all $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT)) ## run every test with what is installed
	BUILD=$(abspath $(BUILD)) tests/run

# The load program has the system's OpenSSL, as the programs that it is compared with.
$(BUILD)/bench/load: $(call obj,$(wildcard tests/bench/load*.c))
	@mkdir -p $(@D)
	$(CC) -pthread -o $@ $^ -lssl -lcrypto
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/bench_%.o $(BUILD)/parts.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(ENGINE_LIBS) $(CLI_LIBS)
bench: ## install what it needs, build, and measure (PART=NAME: one part of it)
	tests/deps.sh bench
	+$(MAKE) all $(BUILD)/bench/load $(BUILD)/bench/policy
	BUILD=$(abspath $(BUILD)) tests/bench/run $(PART)

asan tsan: ## build into BUILD/asan or BUILD/tsan with that sanitizer (README: run a program under it)
	+$(MAKE) all BUILD=$(BUILD)/$@ SANITIZE='-fno-omit-frame-pointer -fsanitize=$(if $(filter asan,$@),address$(comma)undefined,thread)'
lint: all ## check format, code, exports, layers and scripts; installs the linters that are missing
	tests/deps.sh lint
	BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/lint/run
format: ## put every C file into the house's format
	find include preload tests -name '*.[ch]' -o -name '*.cpp' | xargs clang-format -i
$(BUILD)/fuzzer/%: tests/fuzz/%.c $(BUILD)/parts.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(ENGINE_LIBS) $(CLI_LIBS)
fuzz: ## fuzz each target of tests/fuzz (ONLY=NAME: that one) for FUZZ_SECONDS=60
	tests/deps.sh fuzz
	+$(MAKE) BUILD=$(BUILD)/fuzz CC=clang SANITIZE=-fsanitize=fuzzer-no-link,address,undefined $(FUZZERS)
	BUILD=$(abspath $(BUILD)) FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) tests/fuzz/run $(notdir $(FUZZERS))

install: all ## install under DESTDIR/PREFIX
	install -d $(addprefix $(ROOT)/,bin lib/mtlswrap share/man/man1 share/man/man5 share/doc/mtlswrap/examples)
	install $(BUILD)/mtlswrap $(ROOT)/bin
	install -m 644 $(BUILD)/libmtlswrap.so $(BUILD)/libmtlswrap-engine.so $(ROOT)/lib/mtlswrap
	install -m 644 preload/cli/mtlswrap.1 $(ROOT)/share/man/man1
	install -m 644 preload/policy/mtlswrap.ini.5 $(ROOT)/share/man/man5
	install -m 644 README.md CHANGELOG.md LICENSE $(ROOT)/share/doc/mtlswrap
	install -m 644 conf/*.ini $(ROOT)/share/doc/mtlswrap/examples
uninstall: ## take away what install put there
	rm -f $(ROOT)/bin/mtlswrap $(ROOT)/share/man/man1/mtlswrap.1 $(ROOT)/share/man/man5/mtlswrap.ini.5
	rm -rf $(ROOT)/lib/mtlswrap $(ROOT)/share/doc/mtlswrap

help: ## list the targets
	@sed -n 's/^\([a-z -]*\):.*## /\1\t/p' Makefile | expand -t 12
clean: ## remove what was built
	rm -rf $(BUILD)
.PRECIOUS: $(BUILD)/obj/%.o
.PHONY: all deps demo test check bench asan tsan lint format fuzz install uninstall help clean
