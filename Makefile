# SPDX-License-Identifier: MIT
# One non-recursive Makefile. Sources are found by folder; a layer is a folder of userspace/.
#   make                     programs in build/bin
#   make check               unit tests
#   make check-xdp           AF_XDP in namespaces, all of it (root); check-xdp-asan: under ASan
#   make check-mesh          hub and mesh in namespaces (root); check-mesh-asan: under ASan
#   make deb | check-deb     Debian packages in build/deb; their test in a fresh Debian (root)
#   make check-container     container images, unpacked and run (root)
#   make check-vm            Debian kernels under QEMU against their own WireGuard (root)
#   make PLATFORM=posix      the portable fallback (own build folder)
#   make SAN=address,undefined | SAN=thread     sanitizer builds (own build folder)
#   make WERROR=1            warnings are errors (what the tests use)
#   make BENCH_NULL_AEAD=1   encryption replaced by a copy; for scripts/bench.sh only, never installed

PLATFORM ?= linux
SAN ?=
WERROR ?=
DEBUG ?=
BENCH_NULL_AEAD ?=
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR := ar
PKG_CONFIG ?= pkg-config

comma := ,
variant := $(if $(filter-out linux,$(PLATFORM)),-$(PLATFORM))$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(findstring clang,$(CC)),-clang)$(if $(BENCH_NULL_AEAD),-nullaead)$(if $(DEBUG),-debug)
BUILD ?= build$(if $(variant),/variant$(variant))

# --- flags -----------------------------------------------------------------------------------

is_clang := $(findstring clang,$(shell $(CC) --version 2>/dev/null | head -n 1))

WARN := -Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wundef
WARN_C := -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition
# of x86 alone; other compilers refuse it
CF_PROTECTION := $(if $(filter x86_64% i%86%,$(shell $(CC) -dumpmachine 2>/dev/null)),-fcf-protection)
HARDEN := -fstack-protector-strong -fstack-clash-protection $(CF_PROTECTION) -fPIE
HARDEN_LD := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
ifeq ($(is_clang),)
HARDEN += -ftrivial-auto-var-init=zero
endif
OPT := $(if $(DEBUG),-O1 -DTT_DEBUG=1,-O2)
ifeq ($(SAN)$(DEBUG),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

CPPFLAGS_ALL := -D_GNU_SOURCE -DTALTUN_VERSION='"$(VERSION)"' $(if $(BENCH_NULL_AEAD),-DTT_BENCH_NULL_AEAD=1) $(CPPFLAGS)
CFLAGS_ALL := -std=gnu11 -g $(OPT) $(WARN) $(WARN_C) $(if $(WERROR),-Werror) $(HARDEN) $(SANFLAGS) $(CFLAGS)
CXXFLAGS_ALL := -std=gnu++17 -g $(OPT) $(WARN) $(if $(WERROR),-Werror) $(HARDEN) $(SANFLAGS) $(CXXFLAGS)
LDFLAGS_ALL := $(HARDEN_LD) $(SANFLAGS) -pthread $(LDFLAGS)

# --- libraries -------------------------------------------------------------------------------

have = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo 1)
HAVE_IPSEC_MB := $(if $(or $(call have,libIPSec_MB),$(wildcard /usr/include/intel-ipsec-mb.h)),1)
ifneq ($(filter s390x ppc64% aarch64 arm%,$(shell uname -m)),)
HAVE_IPSEC_MB :=
endif

CRYPTO_LIBS := -lsodium -lssl -lcrypto $(if $(HAVE_IPSEC_MB),-lIPSec_MB)
NODE_PKGS := libuv jansson
PLAT_PKGS_linux := libnl-3.0 libcap-ng libbpf
PLAT_PKGS_posix :=
PLAT_PKGS_none :=
PKGS := $(NODE_PKGS) $(PLAT_PKGS_$(PLATFORM))
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
CUNIT_LIBS := -lcunit
MESH_LIBS := -lprotobuf-c
HUB_LIBS := -lsqlite3
TERMINAL_LIBS := $(or $(shell $(PKG_CONFIG) --libs ncursesw 2>/dev/null),-lncursesw -ltinfo)
# Of what serves metrics alone: a program that does not is not bound to it, nor to its TLS library.
HTTP_LIBS := -Wl,--push-state,--as-needed -lmicrohttpd -Wl,--pop-state
CPPFLAGS_ALL += $(if $(HAVE_IPSEC_MB),-DTT_HAVE_IPSEC_MB=1)

# --- layers ----------------------------------------------------------------------------------
# A layer sees itself and the layers below through a folder of links made here, so that an
# include in the wrong direction does not compile.

SEES_base := base
SEES_crypto := base crypto
SEES_wg := base crypto wg
SEES_mesh := base crypto mesh
SEES_tls := base crypto tls
SEES_toml := toml
SEES_wire := base crypto mesh tls wire plat
SEES_plat := base plat steer
SEES_datapath := base crypto wg mesh datapath plat
SEES_node := base crypto wg mesh tls wire toml datapath node plat
SEES_hub := base crypto mesh tls wire toml plat hub
SEES_cli := base cli
SEES_taltun-hub := base crypto mesh tls wire toml plat hub cli taltun-hub
SEES_taltund := base crypto wg mesh tls wire toml datapath node plat taltund
SEES_taltun := base crypto wg mesh tls wire toml datapath node plat cli taltun
SEES_tests := base crypto wg mesh tls wire toml datapath node hub plat steer cli taltun

LAYERS := base crypto wg mesh datapath $(if $(filter none,$(PLATFORM)),,tls wire toml node hub cli)
PROGRAMS := $(if $(filter none,$(PLATFORM)),,taltund taltun)
# The hub is a server for Linux; a program without sources yet is none.
HUB_PROGRAMS := $(if $(filter linux,$(PLATFORM)),$(if $(wildcard userspace/taltun-hub/*.c),taltun-hub))

inc_dir = $(BUILD)/inc/$(1)
where = $(if $(filter plat,$(1)),platform/include/plat,userspace/$(1))

# The hub's messages, compiled from their schema. Who sees mesh sees them, as "mesh/hub.pb-c.h".
GEN := $(BUILD)/gen
PROTOC_C ?= protoc-c
GEN_HUB := $(GEN)/mesh/hub.pb-c
$(GEN_HUB).c: userspace/mesh/hub.proto
	@mkdir -p $(@D)
	@command -v $(PROTOC_C) >/dev/null || { echo "$< needs protoc-c: scripts/setup.sh build" >&2; exit 1; }
	$(if $(V),,@echo "  PROTO   $<";) $(PROTOC_C) -I$(<D) --c_out=$(@D) $(<F)
$(GEN_HUB).h: $(GEN_HUB).c ;
$(BUILD)/inc/%/gen/mesh/hub.pb-c.h: $(GEN_HUB).h ;

# `steer` is bpf/, by a name that does not hide libbpf's own headers.
$(BUILD)/inc/%/.made: Makefile | $(GEN_HUB).h
	@mkdir -p $(@D)
	@for l in $(SEES_$*); do \
		case $$l in plat) d=platform/include/plat;; steer) d=bpf;; *) d=userspace/$$l;; esac; \
		ln -sfn $(CURDIR)/$$d $(@D)/$$l; \
		[ $$l != mesh ] || ln -sfn $(abspath $(GEN)) $(@D)/gen; done
	@touch $@

# A platform service is taken from the first of these folders that has it.
PLAT_ORDER_linux := linux posix none
PLAT_ORDER_posix := posix none
PLAT_ORDER_none := none
plat_services := $(sort $(basename $(notdir $(foreach d,$(PLAT_ORDER_$(PLATFORM)),$(wildcard platform/$(d)/*.c)))))
plat_pick = $(firstword $(foreach d,$(PLAT_ORDER_$(PLATFORM)),$(wildcard platform/$(d)/$(1).c)))
PLAT_SRC := $(foreach s,$(plat_services),$(call plat_pick,$(s)))

src_of = $(wildcard userspace/$(1)/*.c) $(wildcard userspace/$(1)/*.cc)
obj_of = $(patsubst %,$(BUILD)/obj/%.o,$(basename $(1)))

LIB_OBJS_plat := $(call obj_of,$(PLAT_SRC))
$(foreach l,$(LAYERS),$(eval LIB_OBJS_$(l) := $(call obj_of,$(call src_of,$(l)))))
LIB_OBJS_mesh += $(BUILD)/obj/gen/hub.pb-c.o

lib = $(BUILD)/lib/libtt-$(1).a
# Link order: a user comes before what it uses.
LIBS_datapath := $(call lib,datapath) $(call lib,wg) $(call lib,mesh) $(call lib,crypto) $(call lib,plat) $(call lib,base)
LIBS_hub := $(call lib,hub) $(call lib,wire) $(call lib,tls) $(call lib,toml) $(call lib,mesh) $(call lib,crypto) $(call lib,plat) $(call lib,base)
LIBS_node := $(call lib,node) $(call lib,wire) $(call lib,tls) $(call lib,toml) $(LIBS_datapath)
# What the command lines share, and what belongs to one program alone.
EXTRA_taltun := $(call lib,cli)
EXTRA_taltun-hub := $(call lib,cli)
EXTRA_LIBS_taltun := $(TERMINAL_LIBS)

.DEFAULT_GOAL := all
.PHONY: all libs check check-build deb check-deb check-container check-vm check-xdp check-xdp-asan check-mesh check-mesh-asan demo bench soak fuzz install uninstall format format-check lint help clean
.DELETE_ON_ERROR:
.SECONDARY:

all: libs $(addprefix $(BUILD)/bin/,$(PROGRAMS) $(HUB_PROGRAMS))
libs: $(foreach l,$(LAYERS) plat,$(call lib,$(l)))

define archive_rule
$(call lib,$(1)): $$(LIB_OBJS_$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(if $$(V),,@echo "  AR      $$(notdir $$@)";) $$(AR) rcs $$@ $$^
$$(LIB_OBJS_$(1)): INC := $(call inc_dir,$(1))
$$(LIB_OBJS_$(1)): $(call inc_dir,$(1))/.made
endef
$(foreach l,$(LAYERS) plat,$(eval $(call archive_rule,$(l))))

Q := $(if $(V),,@)
$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC      $<";) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(PKG_CFLAGS) -I$(INC) -I$(INC)/gen $(EXTRA_INC) -MMD -MP -c $< -o $@
# Generated code is not ours to make tidy.
$(BUILD)/obj/gen/hub.pb-c.o: $(GEN_HUB).c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC      $<";) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -w -I$(GEN_HUB:/hub.pb-c=) -c $< -o $@
$(BUILD)/obj/%.o: %.cc Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CXX     $<";) $(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(PKG_CFLAGS) -I$(INC) -I$(INC)/gen $(EXTRA_INC) -MMD -MP -c $< -o $@

define program_rule
OBJS_$(1) := $(call obj_of,$(call src_of,$(1)))
$$(OBJS_$(1)): INC := $(call inc_dir,$(1))
$$(OBJS_$(1)): $(call inc_dir,$(1))/.made
$(BUILD)/bin/$(1): $$(OBJS_$(1)) $$(EXTRA_$(1)) $(2)
	@mkdir -p $$(@D)
	$$(if $$(V),,@echo "  LINK    $(1)";) $$(CXX) $$(LDFLAGS_ALL) -o $$@ $$^ $(2) $(3) $$(EXTRA_LIBS_$(1)) $$(PKG_LIBS) $$(MESH_LIBS) $$(HTTP_LIBS) $$(CRYPTO_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p),$(LIBS_node))))
$(foreach p,$(HUB_PROGRAMS),$(eval $(call program_rule,$(p),$(LIBS_hub),$(HUB_LIBS))))

# The programs without their main(), for their unit tests.
TESTED_PROGRAMS := $(filter taltun,$(PROGRAMS))
$(foreach p,$(TESTED_PROGRAMS),$(eval LIB_OBJS_$(p) := $(filter-out %/main.o,$(call obj_of,$(call src_of,$(p))))))
$(foreach p,$(TESTED_PROGRAMS),$(eval $(call archive_rule,$(p))))

# --- the steering program ----------------------------------------------------------------------
# One object for all variants of the build, embedded in the platform library (xdp_object.c).

BPF_CLANG ?= clang
BPF_STRIP ?= llvm-strip
BPF_OBJ := build/bpf/steer.bpf.o
# Debian keeps the machine's kernel headers in a folder that clang does not search for this target.
BPF_CFLAGS := -target bpf -mcpu=v3 -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding \
	$(patsubst %/asm/types.h,-I%,$(firstword $(wildcard /usr/include/*-linux-gnu*/asm/types.h)))
$(BPF_OBJ): $(wildcard bpf/*.c bpf/*.h) Makefile
	@mkdir -p $(@D)
	@command -v $(BPF_CLANG) >/dev/null || { echo "bpf/ needs clang: scripts/setup.sh build" >&2; exit 1; }
	$(if $(V),,@echo "  BPF     $@";) $(BPF_CLANG) $(BPF_CFLAGS) -c bpf/steer.bpf.c -o $@.$$$$ && \
		{ $(BPF_STRIP) -g $@.$$$$ 2>/dev/null || :; } && mv $@.$$$$ $@
$(BUILD)/obj/platform/linux/xdp_object.o: $(BPF_OBJ)
$(BUILD)/obj/platform/linux/xdp_object.o: EXTRA_INC := -DTT_STEER_OBJECT='"$(CURDIR)/$(BPF_OBJ)"'

# --- tests -----------------------------------------------------------------------------------
# Two hundred programs a variant: the linker of LLVM, where it is, needs a third of the time. Only for
# sanitizers: in what it links valgrind takes memmove for memcpy, and reports overlaps.

TEST_LD := $(if $(SAN),$(if $(filter x86_64 aarch64,$(shell uname -m)),$(if $(shell command -v ld.lld 2>/dev/null),-fuse-ld=lld)))

# tests/unit/LAYER/test_x.c is one CUnit program; it links the layers up to its own.

TEST_SRC := $(foreach l,base crypto wg mesh datapath $(if $(filter none,$(PLATFORM)),,tls wire toml node hub cli taltun),$(wildcard tests/unit/$(l)/test_*.c) ) $(wildcard tests/sim/test_*.c) $(if $(filter none,$(PLATFORM)),,$(wildcard tests/unit/plat/test_*.c)) $(if $(filter linux,$(PLATFORM)),$(wildcard tests/bpf/test_*.c))
TEST_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))
TEST_SUPPORT := $(call obj_of,$(wildcard tests/unit/support/*.c))
TEST_OBJS := $(call obj_of,$(TEST_SRC)) $(TEST_SUPPORT)
$(TEST_OBJS): INC := $(call inc_dir,tests)
$(TEST_OBJS): EXTRA_INC := -Itests/unit/support
$(TEST_OBJS): $(call inc_dir,tests)/.made

TEST_LIBS := $(if $(filter none,$(PLATFORM)),$(LIBS_datapath),$(foreach l,$(TESTED_PROGRAMS) cli hub,$(call lib,$(l))) $(LIBS_node))
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_SUPPORT) $(TEST_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK    $(notdir $@)";) $(CXX) $(TEST_LD) $(LDFLAGS_ALL) -o $@ $^ $(TEST_LIBS) $(HUB_LIBS) $(PKG_LIBS) $(MESH_LIBS) $(HTTP_LIBS) $(CRYPTO_LIBS) $(CUNIT_LIBS)

# Helper programs of the tests and benchmarks: one file, one program.
TOOL_SRC := $(wildcard tests/tools/*.c) $(wildcard tests/bench/*.c)
TOOL_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TOOL_SRC))
TOOL_OBJS := $(call obj_of,$(TOOL_SRC))
$(TOOL_OBJS): INC := $(call inc_dir,tests)
$(TOOL_OBJS): EXTRA_INC := -Itests/unit/support
$(TOOL_OBJS): $(call inc_dir,tests)/.made
$(TOOL_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK    $(notdir $@)";) $(CXX) $(TEST_LD) $(LDFLAGS_ALL) -o $@ $^ $(TEST_LIBS) $(HUB_LIBS) $(PKG_LIBS) $(MESH_LIBS) $(HTTP_LIBS) $(CRYPTO_LIBS)

.PHONY: tools
tools: $(TOOL_BIN)
check-build: $(TEST_BIN)
check: check-build
	@scripts/run-unit.sh $(TEST_BIN)

# Debian's kernels under QEMU, with their own WireGuard at the other end: docs/testing.md.
check-vm: all $(filter $(BUILD)/tests/bpf/% $(BUILD)/tests/unit/plat/%,$(TEST_BIN))
	@tests/vm/run.sh $(KERNELS)

# Every namespace test of AF_XDP, and the core's tests by it, in both modes: docs/testing.md.
check-xdp: all tools
	@scripts/check-netns.sh xdp
check-xdp-asan: tools
	@$(MAKE) SAN=address,undefined all
	@TT_BIN=$(CURDIR)/build/variant-address-undefined/bin scripts/check-netns.sh xdp

# Every namespace test of hub and mesh: docs/testing.md.
check-mesh: all tools
	@scripts/check-netns.sh mesh
check-mesh-asan: tools
	@$(MAKE) SAN=address,undefined all
	@TT_BIN=$(CURDIR)/build/variant-address-undefined/bin scripts/check-netns.sh mesh

# Debian packages in build/deb; and the test that installs them into a fresh Debian (root, a mirror).
deb: all
	@packaging/deb/build.sh $(BUILD)/deb
check-deb: all
	@TT_ALL=1 tests/cli/deb.sh
	@TT_ALL=1 tests/cli/systemd.sh || [ $$? -eq 77 ]
# The container images of scripts/container.sh, unpacked and run with the rights of docs/containers.md.
check-container: all
	@TT_ALL=1 tests/cli/container.sh

# --- fuzzers: libFuzzer with clang (make fuzz), plain corpus replayers everywhere --------------

FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAY := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/replay_%,$(FUZZ_SRC))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
FUZZ_OBJS := $(call obj_of,$(FUZZ_SRC) tests/fuzz/replay_main.c)
# The node fuzzer drives a whole device; its support lies beside the unit tests'.
FUZZ_SUPPORT := $(call obj_of,tests/unit/support/node_sim.c)
$(FUZZ_OBJS): INC := $(call inc_dir,tests)
$(FUZZ_OBJS): EXTRA_INC := -Itests/unit/support
$(FUZZ_OBJS): $(call inc_dir,tests)/.made
$(BUILD)/fuzz/replay_%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay_main.o $(FUZZ_SUPPORT) $(TEST_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK    $(notdir $@)";) $(CXX) $(TEST_LD) $(LDFLAGS_ALL) -o $@ $^ $(TEST_LIBS) $(HUB_LIBS) $(PKG_LIBS) $(MESH_LIBS) $(HTTP_LIBS) $(CRYPTO_LIBS)
$(BUILD)/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_SUPPORT) $(TEST_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK    $(notdir $@)";) $(CXX) $(TEST_LD) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(TEST_LIBS) $(HUB_LIBS) $(PKG_LIBS) $(MESH_LIBS) $(HTTP_LIBS) $(CRYPTO_LIBS)
.PHONY: fuzz-replay fuzz-build
fuzz-replay: $(FUZZ_REPLAY)
fuzz-build: $(FUZZ_BIN)
fuzz:
	@scripts/fuzz.sh

# --- the rest --------------------------------------------------------------------------------

demo:
	@scripts/demo.sh
bench:
	@scripts/bench.sh
# Two hours: docs/testing.md.
soak: all tools
	@scripts/soak.sh $(SOAK)

C_FILES = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format:
	clang-format -i $(C_FILES)
format-check:
	@clang-format --dry-run -Werror $(C_FILES)
lint: format-check
	@scripts/check-layers.sh
	@shellcheck -x $$(git ls-files '*.sh')

-include Makefile.install

help:
	@sed -n '2,13s/^# \{0,1\}//p' Makefile
	@echo "targets: all check deb check-deb check-container check-xdp check-xdp-asan check-mesh check-mesh-asan check-vm demo bench soak fuzz install uninstall format lint help clean"

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
