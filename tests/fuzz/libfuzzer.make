# What `make fuzz` does, by GNU make: the library and the harnesses once more
# in the folder fuzz, with clang, libFuzzer, ASan and UBSan. Variables that
# no line here sets come from fuzz.mk.
CLANG = clang
LLVM_COV = llvm-cov
LLVM_PROFDATA = llvm-profdata

all_names := $(notdir $(tests))
names := $(if $(only),$(only),$(all_names))
corpora := $(top)/tests/fuzz/corpus
objects := $(filter %.o,$(sources:.c=.o))
common := tests/fuzz/fuzz.o tests/fuzz/answers.o
compile = $(CLANG) -std=gnu11 -g -O1 -fno-omit-frame-pointer -pthread \
	-Wall -Wextra $(flags) -MMD -MP -c -o $@ $<
# A leak is told when the fuzzer ends; an absurd allocation may fail.
export ASAN_OPTIONS = allocator_may_return_null=1:detect_leaks=1

# more_NAME is looked at once the name is known.
.SECONDEXPANSION:

# --- the folder fuzz: libFuzzer and sanitizers -------------------------

sanitize := -fsanitize=address,undefined -fno-sanitize-recover=undefined

fuzz/%.o: $(top)/%.c
	@mkdir -p $(@D)
	@echo "  FUZZ     $*.o"
	@$(compile) $(sanitize) -fsanitize=fuzzer-no-link

fuzz/src/daemon/page.o: src/daemon/page.c
	@mkdir -p $(@D)
	@$(compile)

%.a:
	@rm -f $@
	@ar cr $@ $^

fuzz/src.a: $(objects:%=fuzz/%)

$(all_names:%=fuzz/%): fuzz/%: fuzz/tests/fuzz/%.o $(common:%=fuzz/%) \
		$$(addprefix fuzz/,$$(more_$$*)) fuzz/src.a
	@echo "  FUZZLD   $@"
	@$(CLANG) $(sanitize) -fsanitize=fuzzer -pthread $(wrap_$*) \
		-o $@ $^ $(libs)

# The words that the program knows.
fuzz/%.dict: $(top)/tests/fuzz/%.c
	@grep -ohrE '"[]A-Za-z0-9_.:/@ =!*[-]{2,24}"' \
		$(top)/src/base $(top)/src/conf $(top)/src/daemon \
		$(top)/src/doctor $(top)/src/gateway $(top)/src/cmd/s* $< | sort -u >$@

# What is found stays below fuzz/found; what fails, as fuzz/NAME-crash-...
run: $(names:%=run-%)
run-%: fuzz/% fuzz/%.dict
	@mkdir -p fuzz/found/$* $(corpora)/$*
	nice -n 19 fuzz/$* -max_total_time=$(seconds) -timeout=20 \
		-dict=fuzz/$*.dict -artifact_prefix=fuzz/$*- \
		-print_final_stats=1 -verbosity=$(or $(verbosity),1) \
		fuzz/found/$* $(corpora)/$*

# An input that was named by hand stays; of the others those that reach
# code that no other does, and none that is large. Names are the content's
# hash.
update: $(names:%=update-%)
update-%: fuzz/%
	@mkdir -p fuzz/found/$* $(corpora)/$*
	@rm -rf fuzz/kept fuzz/small && mkdir fuzz/kept fuzz/small
	@find $(corpora)/$* -type f -name '*-*' -exec cp {} fuzz/kept \;
	@find $(corpora)/$* fuzz/found/$* -type f ! -name '*-*' \
		-size -$(or $(most),4)k -exec cp {} fuzz/small \;
	@fuzz/$* -merge=1 -use_counters=0 -timeout=20 -verbosity=0 \
		fuzz/kept fuzz/small
	@find $(corpora)/$* -type f ! -name '*-*' -delete
	@cp fuzz/kept/* $(corpora)/$*
	@echo "$*: $$(ls $(corpora)/$* | wc -l) inputs, \
	$$(cat $(corpora)/$*/* | wc -c) bytes"

# --- the folder fuzz/coverage: the replays, counting ------------------

counting := -fprofile-instr-generate -fcoverage-mapping

fuzz/coverage/%.o: $(top)/%.c
	@mkdir -p $(@D)
	@$(compile) $(counting)

fuzz/coverage/src/daemon/page.o: src/daemon/page.c
	@mkdir -p $(@D)
	@$(compile)

fuzz/coverage/src.a: $(objects:%=fuzz/coverage/%)

$(all_names:%=fuzz/coverage/%): fuzz/coverage/%: \
		fuzz/coverage/tests/fuzz/%.o fuzz/coverage/tests/fuzz/replay.o \
		$(common:%=fuzz/coverage/%) \
		$$(addprefix fuzz/coverage/,$$(more_$$*)) fuzz/coverage/src.a
	@$(CLANG) $(counting) -pthread $(wrap_$*) -o $@ $^ $(libs)

coverage: $(names:%=coverage-%)
coverage-%: fuzz/coverage/%
	@srcdir=$(top) LLVM_PROFILE_FILE=$<.raw $< 2>$<.log || \
		{ tail -n 3 $<.log; exit 1; }
	@$(LLVM_PROFDATA) merge -o $<.profile $<.raw
	@echo "$*: lines reached, of the files that it is about"
	@$(LLVM_COV) report $< -instr-profile=$<.profile | \
		awk -v about='$(about_$*)' 'BEGIN { n = split(about, a) } { \
			for (i = 1; i <= n; i++) \
				if (index($$1, "src/" a[i]) && $$8 > 0) \
					printf "  %-32s %6s %6s %8s\n", \
						$$1, $$8, $$9, $$10 }'

.PHONY: run update coverage
.SECONDARY:
-include $(shell find fuzz -name '*.d' 2>/dev/null)
