"""Right gateways that nobody made by `unatatp firewall`: rules written by
hand, and what other programs make, for the lab's interfaces."""

# What README.md once told an administrator to type.
ROUTES = """
for f in -4 -6; do
    ip $f rule add fwmark 0x100/0xf00 iif lan lookup 100
    ip $f route add local default dev lo table 100
done
"""

HAND_NFT = """
table inet unatatp {
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		iifname { "lan" } meta l4proto tcp jump from_lan
	}
	chain from_lan {
		# What is meant for the gateway itself (ssh!) is none of ours.
		fib daddr type local return
		# A new connection.
		tcp flags & (fin | syn | rst | ack) == syn goto new_flow
		# A packet of a connection that unatatp holds.
		socket transparent 1 goto take
		# A later packet of a SYN that was taken: SYN cookies need it.
		ct mark & 0xf00 == 0x100 goto taken_flow
	}
	chain new_flow {
		# Without a listener tproxy ends its rule: the mark comes after.
		meta l4proto tcp tproxy ip to 127.0.0.1:9999 goto take
		meta l4proto tcp tproxy ip6 to [::1]:9999 goto take
		# unatatp is down: this connection goes its way without it.
		ct mark set ct mark & 0xfffff0ff
	}
	chain taken_flow {
		meta l4proto tcp tproxy ip to 127.0.0.1:9999 goto take
		meta l4proto tcp tproxy ip6 to [::1]:9999 goto take
		# unatatp is down and the connection with it: tell the client.
		reject with tcp reset
	}
	chain take {
		meta mark set meta mark & 0xfffff0ff | 0x100
		ct mark set ct mark & 0xfffff0ff | 0x100
		accept
	}
}
"""

HAND_IPTABLES = """
divert() { # COMMAND ADDRESS
	$1 -t mangle -N UNATATP
	$1 -t mangle -N UNATATP_TAKE
	$1 -t mangle -A UNATATP_TAKE -j MARK --set-xmark 0x100/0xf00
	$1 -t mangle -A UNATATP_TAKE -j ACCEPT

	# What is meant for the gateway itself (ssh!) is none of ours.
	$1 -t mangle -A UNATATP -m addrtype --dst-type LOCAL -j RETURN
	# A packet of a connection that unatatp holds.
	$1 -t mangle -A UNATATP -p tcp ! --syn \
		-m socket --transparent -j UNATATP_TAKE
	# A new connection, and later packets of it: SYN cookies need them.
	$1 -t mangle -A UNATATP -p tcp --syn \
		-j CONNMARK --set-xmark 0x100/0xf00
	$1 -t mangle -A UNATATP -p tcp -m connmark --mark 0x100/0xf00 \
		-j TPROXY --on-ip $2 --on-port 9999 --tproxy-mark 0x100/0xf00

	$1 -t mangle -A PREROUTING -i lan -p tcp -j UNATATP
}
divert iptables 127.0.0.1
divert ip6tables ::1
"""

# Everything in two chains of somebody's own.
TERSE = """
table inet lab {
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		iifname != "lan" accept
		meta l4proto != tcp accept
		tcp flags & (fin|syn|rst|ack) != syn socket transparent 1 \
			meta mark set mark and 0xfffff0ff or 0x100 accept
		fib daddr type local accept
		tcp flags & (fin|syn|rst|ack) == syn jump take
		ct mark and 0xf00 == 0x100 jump take
	}
	chain take {
		meta nfproto ipv4 meta l4proto tcp \
			tproxy ip to 127.0.0.1:9999 \
			meta mark set mark and 0xfffff0ff or 0x100 \
			ct mark set ct mark and 0xfffff0ff or 0x100 accept
		meta nfproto ipv6 meta l4proto tcp \
			tproxy ip6 to [::1]:9999 \
			meta mark set mark and 0xfffff0ff or 0x100 \
			ct mark set ct mark and 0xfffff0ff or 0x100 accept
	}
}
"""


def nft(text):
    """Shell that loads TEXT."""
    return "nft -f - <<'E'\n%s\nE\n" % text.replace("\\\n", " ")


BY_HAND = {
    "hand-nft": nft(HAND_NFT),
    "hand-iptables": HAND_IPTABLES,
    "terse": nft(TERSE),
}

# What `wg-quick up' adds for a default route through a tunnel.
WG_QUICK = """
echo 1 >/proc/sys/net/ipv4/conf/all/src_valid_mark
iptables -t raw -I PREROUTING ! -i wan -d 10.8.0.2 \\
    -m addrtype ! --src-type LOCAL -j DROP
iptables -t mangle -I POSTROUTING -m mark --mark 51820 -p udp \\
    -j CONNMARK --save-mark
iptables -t mangle -I PREROUTING -p udp -j CONNMARK --restore-mark
ip rule add pref 32764 not fwmark 0xca6c lookup 51820
ip rule add pref 32763 lookup main suppress_prefixlength 0
"""
