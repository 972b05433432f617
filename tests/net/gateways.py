"""Right gateways that nobody made by `unatatp firewall`: rules written by
hand, and what other programs make, for the lab's interfaces."""

# What README.md once told an administrator to type.
FOUR_ROUTES = """
ip rule add fwmark 0x100/0xf00 iif lan lookup 100
ip route add local default dev lo table 100
"""
ROUTES = FOUR_ROUTES + """
ip -6 rule add fwmark 0x100/0xf00 iif lan lookup 100
ip -6 route add local default dev lo table 100
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

# Debian's /etc/nftables.conf with what its wiki says of a router.
DEBIAN = nft("""
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state vmap { established : accept, related : accept, \
			invalid : drop }
		meta l4proto { icmp, ipv6-icmp } limit rate 10/second accept
		tcp dport 22 ct count over 20 reject
		tcp dport 22 accept
		meta mark & 0xf00 == 0x100 accept
		counter log prefix "input: "
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
}
""")

# OpenWrt's fw4: zones lan and wan, a rule of the administrator for the mark.
FW4 = nft("""
table inet fw4 {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept comment "!fw4: Accept traffic from loopback"
		ct state vmap { established : accept, related : accept }
		tcp flags & (fin | syn | rst | ack) == syn jump syn_flood
		iifname "lan" jump input_lan
		iifname { "wan", "wan2" } jump input_wan
		jump handle_reject
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept }
		iifname "lan" jump forward_lan
		iifname { "wan", "wan2" } jump forward_wan
		jump handle_reject
	}
	chain output {
		type filter hook output priority filter; policy accept;
		oif "lo" accept
		ct state vmap { established : accept, related : accept }
		oifname "lan" jump output_lan
		oifname { "wan", "wan2" } jump output_wan
	}
	chain prerouting {
		type filter hook prerouting priority filter; policy accept;
		iifname "lan" jump helper_lan
	}
	chain handle_reject {
		meta l4proto tcp reject with tcp reset
		reject
	}
	chain syn_flood {
		limit rate 25/second burst 50 packets return
		drop
	}
	chain input_lan {
		jump accept_from_lan
	}
	chain output_lan {
		jump accept_to_lan
	}
	chain forward_lan {
		jump accept_to_wan
		jump accept_to_lan
	}
	chain helper_lan {
	}
	chain accept_from_lan {
		iifname "lan" counter accept
	}
	chain accept_to_lan {
		oifname "lan" counter accept
	}
	chain input_wan {
		meta nfproto ipv4 udp dport 68 counter accept
		meta nfproto ipv4 icmp type echo-request counter accept
		ip6 saddr fe80::/10 icmpv6 type { mld-listener-query, \
			mld-listener-report } counter accept
		jump reject_from_wan
	}
	chain output_wan {
		jump accept_to_wan
	}
	chain forward_wan {
		meta nfproto ipv6 limit rate 1000/second \
			icmpv6 type { echo-request, packet-too-big } accept
		meta l4proto esp jump accept_to_lan
		jump reject_to_wan
	}
	chain accept_to_wan {
		meta nfproto ipv4 oifname { "wan", "wan2" } ct state invalid \
			counter drop
		oifname { "wan", "wan2" } counter accept
	}
	chain reject_from_wan {
		iifname { "wan", "wan2" } counter jump handle_reject
	}
	chain reject_to_wan {
		oifname { "wan", "wan2" } counter jump handle_reject
	}
	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
		iifname { "wan", "wan2" } jump dstnat_wan
	}
	chain dstnat_wan {
		meta nfproto ipv4 tcp dport 8443 dnat ip to 10.71.0.7:443
	}
	chain srcnat {
		type nat hook postrouting priority srcnat; policy accept;
		oifname { "wan", "wan2" } jump srcnat_wan
	}
	chain srcnat_wan {
		meta nfproto ipv4 masquerade
	}
	chain raw_prerouting {
		type filter hook prerouting priority raw; policy accept;
	}
	chain raw_output {
		type filter hook output priority raw; policy accept;
	}
	chain mangle_forward {
		type filter hook forward priority mangle; policy accept;
		iifname "wan" tcp flags & (fin | syn | rst) == syn \
			tcp option maxseg size set rt mtu
	}
}
""")

# What dockerd 28 makes, with one network and one published port; DOCKER-USER
# is the administrator's.
DOCKER = r"""
ip link show docker0 >/dev/null 2>&1 || ip link add docker0 type bridge
ip link set docker0 up
iptables-restore --noflush <<'E'
*raw
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT \
	--to-destination 172.17.0.2:80
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp \
	--dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 \
	-j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER -i lan ! -o docker0 -j ACCEPT
COMMIT
E
""".replace("\\\n", " ")

# ufw's chains: `default deny incoming', ssh allowed, and the mark let in
# by a line in before.rules.
UFW = "".join(r"""
%(six)stables-restore --noflush <<'E'
*filter
:INPUT DROP [0:0]
:ufw%(v)s-before-input - [0:0]
:ufw%(v)s-user-input - [0:0]
:ufw%(v)s-user-limit - [0:0]
:ufw%(v)s-user-limit-accept - [0:0]
:ufw%(v)s-after-input - [0:0]
:ufw%(v)s-skip-to-policy-input - [0:0]
:ufw%(v)s-not-local - [0:0]
:ufw%(v)s-logging-deny - [0:0]
:ufw%(v)s-before-output - [0:0]
-A INPUT -j ufw%(v)s-before-input
-A INPUT -j ufw%(v)s-after-input
-A OUTPUT -j ufw%(v)s-before-output
-A ufw%(v)s-after-input -p udp -m udp --dport 137 \
	-j ufw%(v)s-skip-to-policy-input
-A ufw%(v)s-before-input -i lo -j ACCEPT
-A ufw%(v)s-before-input -m mark --mark 0x100/0xf00 -j ACCEPT
-A ufw%(v)s-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw%(v)s-before-input -m conntrack --ctstate INVALID \
	-j ufw%(v)s-logging-deny
-A ufw%(v)s-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw%(v)s-before-input -j ufw%(v)s-not-local
-A ufw%(v)s-before-input -j ufw%(v)s-user-input
-A ufw%(v)s-before-output -o lo -j ACCEPT
-A ufw%(v)s-before-output -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw%(v)s-logging-deny -m conntrack --ctstate INVALID -m limit \
	--limit 3/min --limit-burst 10 -j RETURN
-A ufw%(v)s-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG \
	--log-prefix "[UFW BLOCK] "
-A ufw%(v)s-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw%(v)s-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw%(v)s-not-local -m limit --limit 3/min --limit-burst 10 \
	-j ufw%(v)s-logging-deny
-A ufw%(v)s-not-local -j DROP
-A ufw%(v)s-skip-to-policy-input -j DROP
-A ufw%(v)s-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW \
	-m recent --set --name DEFAULT --rsource
-A ufw%(v)s-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW \
	-m recent --update --seconds 30 --hitcount 6 --name DEFAULT --rsource \
	-j ufw%(v)s-user-limit
-A ufw%(v)s-user-input -p tcp -m tcp --dport 22 -j ufw%(v)s-user-limit-accept
-A ufw%(v)s-user-limit -j REJECT
-A ufw%(v)s-user-limit-accept -j ACCEPT
COMMIT
E
""" % {"v": version, "six": "ip6" if version else "ip"}
    for version in ("", "6")).replace("\\\n", " ")

# firewalld's table with nft: zones internal (trusts the mark) and public.
FIREWALLD = nft("""
table inet firewalld {
	chain mangle_PREROUTING {
		type filter hook prerouting priority mangle + 10; policy accept;
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
		jump mangle_PREROUTING_ZONES
	}
	chain mangle_PREROUTING_ZONES {
		iifname "lan" goto mangle_PRE_internal
		goto mangle_PRE_public
	}
	chain mangle_PRE_internal {
	}
	chain mangle_PRE_public {
	}
	chain nat_POSTROUTING {
		type nat hook postrouting priority srcnat + 10; policy accept;
		jump nat_POSTROUTING_ZONES
	}
	chain nat_POSTROUTING_ZONES {
		oifname "lan" goto nat_POST_internal
		goto nat_POST_public
	}
	chain nat_POST_internal {
	}
	chain nat_POST_public {
		meta nfproto ipv4 oifname != "lo" masquerade
	}
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES {
		ip saddr 10.99.0.0/16 goto filter_IN_public
		iifname "lan" goto filter_IN_internal
		goto filter_IN_public
	}
	chain filter_IN_internal {
		tcp dport 22 ct state new accept
		meta mark & 0x00000f00 == 0x00000100 accept
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain filter_IN_public {
		tcp dport 22 accept
		ip6 daddr fe80::/64 udp dport 546 accept
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain filter_OUTPUT {
		type filter hook output priority filter + 10; policy accept;
		ct state { established, related } accept
		oifname "lo" accept
		ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } \
			reject with icmpv6 addr-unreachable
	}
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		ip6 daddr { ::/96, 2002::/24 } reject with icmpv6 addr-unreachable
		iifname "lan" accept
		reject with icmpx admin-prohibited
	}
}
""")

# {name: (shell, the FORWARD filters that are named)}
OTHERS = {
    "debian": (DEBIAN, []),
    "fw4": (FW4, []),
    "docker": (DOCKER, ["forward-ipv4"]),
    "ufw": (UFW, []),
    "firewalld": (FIREWALLD, ["forward-ipv6"]),
}
