# pytest on network namespaces. The wrapper prints pytest's closing line on
# descriptor 9, the terminal of `make check`.
AM_TESTS_FD_REDIRECT = 9>&2
TESTS += tests/net/run
EXTRA_DIST += tests/net/run \
	tests/net/browser.py \
	tests/net/conftest.py \
	tests/net/daemon.py \
	tests/net/firewall.py \
	tests/net/fixtures.py \
	tests/net/gateways.py \
	tests/net/lab.py \
	tests/net/link.py \
	tests/net/peers.py \
	tests/net/terminal.py \
	tests/net/test_activation.py \
	tests/net/test_auto.py \
	tests/net/test_backpressure.py \
	tests/net/test_base.py \
	tests/net/test_command.py \
	tests/net/test_congestion_missing.py \
	tests/net/test_control.py \
	tests/net/test_connect.py \
	tests/net/test_demo.py \
	tests/net/test_doctor.py \
	tests/net/test_drain.py \
	tests/net/test_firewall.py \
	tests/net/test_firewall_command.py \
	tests/net/test_firewall_harm.py \
	tests/net/test_guard.py \
	tests/net/test_half_close.py \
	tests/net/test_initial_window.py \
	tests/net/test_keepalived.py \
	tests/net/test_latency.py \
	tests/net/test_link.py \
	tests/net/test_log.py \
	tests/net/test_metrics.py \
	tests/net/test_notify.py \
	tests/net/test_options.py \
	tests/net/test_policy.py \
	tests/net/test_privileges.py \
	tests/net/test_prometheus.py \
	tests/net/test_reload.py \
	tests/net/test_reset.py \
	tests/net/test_show.py \
	tests/net/test_show_policies.py \
	tests/net/test_source.py \
	tests/net/test_status_page.py \
	tests/net/test_timeouts.py \
	tests/net/test_top.py \
	tests/net/test_transparent_source.py \
	tests/net/test_unit.py \
	tests/net/test_urgent.py
