EXTRA_DIST += \
	tests/soak/checks.py \
	tests/soak/faults.py \
	tests/soak/gateway.py \
	tests/soak/ledger.py \
	tests/soak/servers.py \
	tests/soak/soak \
	tests/soak/traffic.py

HOURS = 1

# Needs root; `make soak HOURS=0.02` is a trial, SOAK_FLAGS="--seed 7" repeats
# what clients and faults did.
soak: unatatp
	$(srcdir)/tests/soak/soak --build $(builddir) --hours $(HOURS) \
		$(SOAK_FLAGS)

.PHONY: soak
