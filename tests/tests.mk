include tests/unit/unit.mk
include tests/golden/golden.mk
include tests/lab/lab.mk
include tests/net/net.mk
include tests/fault/fault.mk
include tests/package/package.mk
include tests/style/style.mk
include tests/bench/bench.mk
