# SPDX-License-Identifier: MIT
# fish completion for taltun(8) and taltund(8).

# Interfaces that are up: their control sockets say so.
# Settings that --set takes.
function __taltun_settings
    printf "%s=\n" interface.{name,private_key,private_key_file,address,listen_port,mtu,routes,fwmark,table,dns,dns_search,pre_up,post_up,pre_down,post_down} datapath.{mode,interfaces,queues,umem_mb,unknown_index,workers,poll,aead,forward_between_peers} log.{level,format} metrics.{listen,per_peer} hub.{server,name,certificate_file,key_file,ca_file,accept,networks} gateway.{firewall,ip_forward,masquerade,subnets}
end

function __taltun_interfaces
    set -l dir /run/taltun
    set -q TALTUN_RUN_DIR; and test -n "$TALTUN_RUN_DIR"; and set dir $TALTUN_RUN_DIR
    for socket in $dir/*.sock
        string replace -r '.*/(.*)\.sock$' '$1' -- $socket
    end
end

# Names that `taltun up` finds by itself.
function __taltun_configured
    for file in /etc/taltun/*.toml /etc/taltun/*.conf /etc/wireguard/*.conf
        string replace -r '.*/(.*)\.[a-z]+$' '$1' -- $file
    end
end

function __taltun_configurations
    __fish_complete_suffix .toml
    __fish_complete_suffix .conf
end

# Whether the word being completed is argument N of COMMAND.
function __taltun_argument --argument-names number command
    set -l words (commandline -opc)
    test (count $words) -eq (math $number + 1); and contains -- "$words[2]" $command $argv[3..-1]
end

complete -c taltun -f
complete -c taltun -n __fish_use_subcommand -s h -l help -d 'Show the help'
complete -c taltun -n __fish_use_subcommand -l version -d 'Show the version'
complete -c taltun -n __fish_use_subcommand -a up -d 'Bring an interface up from a TOML or wg-quick file'
complete -c taltun -n __fish_use_subcommand -a down -d 'Take an interface down and put everything back'
complete -c taltun -n __fish_use_subcommand -a enroll -d 'Join a mesh with a token from its hub'
complete -c taltun -n __fish_use_subcommand -a status -d 'Show an interface, or all, with their peers'
complete -c taltun -n __fish_use_subcommand -a peers -d 'Show peers as a table'
complete -c taltun -n __fish_use_subcommand -a top -d 'Watch throughput, drops, workers and peers'
complete -c taltun -n __fish_use_subcommand -a events -d 'Print what happens to an interface'
complete -c taltun -n __fish_use_subcommand -a firewall -d 'Print the firewall of a gateway'
complete -c taltun -n __fish_use_subcommand -a doctor -d 'Look for what keeps it from working, or from being fast'
complete -c taltun -n __fish_use_subcommand -a stun -d 'Ask a STUN server which address it sees us at'
complete -c taltun -n __fish_use_subcommand -a log-level -d 'Show or change what a daemon logs'
complete -c taltun -n __fish_use_subcommand -a genkey -d 'Print a new private key'
complete -c taltun -n __fish_use_subcommand -a pubkey -d 'Print the public key of a private key'
complete -c taltun -n __fish_use_subcommand -a genpsk -d 'Print a new preshared key'
complete -c taltun -n __fish_use_subcommand -a check-config -d 'Check a configuration file'
complete -c taltun -n __fish_use_subcommand -a import -d 'Turn a wg-quick file into TOML'
complete -c taltun -n __fish_use_subcommand -a reload -d 'Apply the changed configuration file'
complete -c taltun -n __fish_use_subcommand -a bench -d 'Measure what this machine can do'
complete -c taltun -n __fish_use_subcommand -a version -d 'Print the version'
complete -c taltun -n __fish_use_subcommand -a help -d 'Print what the commands are'

complete -c taltun -n 'not __fish_use_subcommand; and not __fish_seen_subcommand_from version help' -s h -l help -d 'Show the help of the command'
complete -c taltun -n '__fish_seen_subcommand_from status peers top events firewall enroll doctor stun log-level bench' -l json -d 'Print JSON'
complete -c taltun -n '__fish_seen_subcommand_from status peers' -l peer -x -d 'Only this one, by name or key'
complete -c taltun -n '__fish_seen_subcommand_from top' -l interval -x -d 'Seconds between two looks'
complete -c taltun -n '__fish_seen_subcommand_from top' -l sort -x -a 'rate name handshake' -d 'Order of peers'
complete -c taltun -n '__fish_seen_subcommand_from top' -l once -d 'Print one picture'
complete -c taltun -n '__fish_seen_subcommand_from enroll' -l interface -x -d 'Name of the interface'
complete -c taltun -n '__fish_seen_subcommand_from enroll' -l accept -x -d 'Subnet or default route to take'
complete -c taltun -n '__fish_seen_subcommand_from enroll' -l hub-address -x -d 'Where the hub is'
complete -c taltun -n '__fish_seen_subcommand_from enroll' -l config-dir -r -a '(__fish_complete_directories)' -d 'Instead of /etc/taltun'
complete -c taltun -n '__fish_seen_subcommand_from enroll' -l no-start -d 'Do not bring it up'
complete -c taltun -n '__fish_seen_subcommand_from stun' -s 4 -d 'Over IPv4'
complete -c taltun -n '__fish_seen_subcommand_from stun' -s 6 -d 'Over IPv6'
complete -c taltun -n '__fish_seen_subcommand_from stun' -l port -x -d 'Our UDP port'
complete -c taltun -n '__fish_seen_subcommand_from check-config' -l dump -d 'Print every setting'
complete -c taltun -n '__fish_seen_subcommand_from check-config' -l set -x -d 'Override one setting' -a '(__taltun_settings)'
complete -c taltun -n '__taltun_argument 1 up' -a '(__taltun_configured)' -d 'Configured interface'
complete -c taltun -n '__taltun_argument 1 up down check-config' -a '(__taltun_configurations)'
complete -c taltun -n '__taltun_argument 1 down status peers top events reload log-level' -a '(__taltun_interfaces)' -d Interface
complete -c taltun -n '__fish_seen_subcommand_from doctor' -a '(command ls /sys/class/net)' -d 'Network interface'
complete -c taltun -n '__taltun_argument 1 firewall' -a show
complete -c taltun -n '__taltun_argument 2 firewall' -a '(__taltun_interfaces)' -d Interface
complete -c taltun -n '__taltun_argument 2 log-level' -a 'error warn info debug'
complete -c taltun -n '__taltun_argument 1 import' -a '(__fish_complete_suffix .conf)'
complete -c taltun -n '__taltun_argument 2 import' -F
complete -c taltun -n '__taltun_argument 1 bench' -a 'crypto datapath xdp'
complete -c taltun -n '__fish_seen_subcommand_from datapath' -l backend -x -a 'avx512 ipsec-mb libsodium' -d 'Only this encryption'
complete -c taltun -n '__taltun_argument 2 bench; and __fish_seen_subcommand_from xdp' -a '(command ls /sys/class/net)' -d 'Network interface'
complete -c taltun -n '__fish_seen_subcommand_from xdp' -l peer -x -a '(command ls /sys/class/net)' -d 'Other end of the wire'
complete -c taltun -n '__fish_seen_subcommand_from xdp' -l ms -x
for option in bytes batch sessions workers ms
    complete -c taltun -n '__fish_seen_subcommand_from datapath' -l $option -x
end
complete -c taltun -n '__taltun_argument 1 help' -a 'up down enroll status peers top events firewall doctor stun log-level genkey pubkey genpsk check-config import reload bench version help'

complete -c taltund -f
complete -c taltund -s c -l config -r -a '(__taltun_configurations)' -d 'Configuration file'
complete -c taltund -s f -l foreground -d 'Stay in the foreground, log to stderr'
complete -c taltund -l set -x -d 'Override one setting' -a '(__taltun_settings)'
complete -c taltund -l log-level -x -a 'error warn info debug' -d 'Least important lines to log'
complete -c taltund -l log-format -x -a 'logfmt json' -d 'Form of log lines'
complete -c taltund -l log-file -r -F -d 'Append the log to a file'
complete -c taltund -s h -l help -d 'Show the help'
complete -c taltund -s V -l version -d 'Show the version'
