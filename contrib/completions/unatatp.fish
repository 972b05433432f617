# fish completion for unatatp(8)
# Made by `make update-completions` from the tables of commands and options.

# Whether the command of the line is one of these.
function __unatatp_is
	set -l words (commandline -opc) run
	string match -q -- '-*' $words[2]; and set words[2] run
	contains -- $words[2] $argv
end

function __unatatp_algorithms
	cat /proc/sys/net/ipv4/tcp_available_congestion_control 2>/dev/null | string split ' '
end

complete -c unatatp -f
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a run -d 'serve until told to end (what no command means)'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a check -d 'report every mistake in the configuration'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a doctor -d 'look for what is wrong with this gateway'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a firewall -d 'the rules and routes that hand connections to it'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a show -d 'ask the running daemon'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a top -d 'watch policies and flows, both legs, live'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a reload -d 'make the daemon read its configuration again'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a drain -d 'no new flows; the daemon ends with the last one'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a kill -d 'reset the flow ID'
complete -c unatatp -n 'test (count (commandline -opc)) -eq 1' -a loglevel -d 'log more or less, until the next reload'
complete -c unatatp -n '__unatatp_is firewall; and not __fish_seen_subcommand_from show up confirm down status' -a 'show up confirm down status'
complete -c unatatp -n '__unatatp_is show; and not __fish_seen_subcommand_from flows policies stats config' -a 'flows policies stats config'
complete -c unatatp -n '__unatatp_is run check doctor firewall show top reload drain kill loglevel' -s c -l config -r -F -d 'configuration (/etc/unatatp.conf, else built in)'
complete -c unatatp -n '__unatatp_is run check' -s p -l port -x -d 'listen on this port in place of the file\'s'
complete -c unatatp -n '__unatatp_is run check' -s C -l congestion -x -a '(__unatatp_algorithms)' -d 'congestion control of both legs of every policy'
complete -c unatatp -n '__unatatp_is run' -s d -l daemon -d 'go to the background and log to syslog'
complete -c unatatp -n '__unatatp_is run check' -s v -d 'say more; again for more still'
complete -c unatatp -n '__unatatp_is run' -s t -d 'same as check'
complete -c unatatp -n '__unatatp_is run check' -l print -d 'print the effective configuration'
complete -c unatatp -n '__unatatp_is show top reload drain kill loglevel' -s s -l socket -r -F -d 'the daemon\'s socket, in place of the file\'s control.path'
complete -c unatatp -n '__unatatp_is doctor show' -l json -d 'print JSON, one object a line'
complete -c unatatp -n '__unatatp_is show' -l policy -x -d 'flows of this policy only'
complete -c unatatp -n '__unatatp_is show' -l src -x -d 'flows of clients in this prefix only'
complete -c unatatp -n '__unatatp_is show' -l dst -x -d 'flows to servers in this prefix only'
complete -c unatatp -n '__unatatp_is show' -l sort -x -a 'rate age retrans' -d 'the first of this order'
complete -c unatatp -n '__unatatp_is show' -l limit -x -d 'so many at most'
complete -c unatatp -n '__unatatp_is show' -l compare -x -d 'two policies, or algorithms, side by side'
complete -c unatatp -n '__unatatp_is top' -l once -d 'print one frame and end'
complete -c unatatp -n '__unatatp_is firewall' -l confirm -x -d 'take all back unless "firewall confirm" comes in time'
complete -c unatatp -n '__unatatp_is firewall' -l backend -x -a 'nft iptables' -d 'whose rules to make (nft, where it is installed)'
complete -c unatatp -n '__unatatp_is doctor' -l link -x -d 'what the line to the clients carries'
complete -c unatatp -n '__unatatp_is doctor' -l probe -d 'send a connection through the rules, too'
complete -c unatatp -s h -l help -d 'print this and exit'
complete -c unatatp -s V -l version -d 'print the version and exit'
