# SPDX-License-Identifier: MIT
# fish completion for taltun-hub(8).

complete -c taltun-hub -f
complete -c taltun-hub -l dir -x -a '(__fish_complete_directories)' -d 'where configuration and state are'
complete -c taltun-hub -l json -d 'as JSON'
set -l first __fish_use_subcommand
complete -c taltun-hub -n $first -a init -d 'make a hub'
complete -c taltun-hub -n $first -a serve -d 'run the hub'
complete -c taltun-hub -n $first -a check-config -d 'check the configuration'
complete -c taltun-hub -n '__fish_seen_subcommand_from check-config' -F
complete -c taltun-hub -n $first -a renew-server -d 'issue the certificate of the hub anew'
complete -c taltun-hub -n $first -a token -d 'make, list and take back tokens'
complete -c taltun-hub -n $first -a node -d 'list, show and revoke nodes'
complete -c taltun-hub -n $first -a allow -d 'let two groups see each other'
complete -c taltun-hub -n $first -a deny -d 'take such a rule back'
complete -c taltun-hub -n $first -a policy -d 'show groups and rules'
complete -c taltun-hub -n $first -a status -d 'ask the running hub'
complete -c taltun-hub -n $first -a log-level -d 'show or change what the running hub logs'
complete -c taltun-hub -n '__fish_seen_subcommand_from log-level' -a 'error warn info debug'
complete -c taltun-hub -n $first -a version -d 'print the version'
complete -c taltun-hub -n $first -a help -d 'print what the commands are'
complete -c taltun-hub -n '__fish_seen_subcommand_from init' -l name -x -d 'what nodes call'
complete -c taltun-hub -n '__fish_seen_subcommand_from init' -l pool -x -d 'addresses of nodes'
complete -c taltun-hub -n '__fish_seen_subcommand_from serve' -l no-udp-relay -d 'relay by TCP only'
complete -c taltun-hub -n '__fish_seen_subcommand_from serve' -l ca-key-stdin -d 'the key of the CA by standard input'
complete -c taltun-hub -n '__fish_seen_subcommand_from token' -a 'create list revoke'
complete -c taltun-hub -n '__fish_seen_subcommand_from token' -l name -x -d 'of the node'
complete -c taltun-hub -n '__fish_seen_subcommand_from token' -l role -x -a 'client gateway' -d 'of the node'
complete -c taltun-hub -n '__fish_seen_subcommand_from token' -l group -x -d 'of the node'
complete -c taltun-hub -n '__fish_seen_subcommand_from token' -l subnet -x -d 'behind the gateway'
complete -c taltun-hub -n '__fish_seen_subcommand_from token' -l expires -x -d 'after a time like 24h'
complete -c taltun-hub -n '__fish_seen_subcommand_from node' -a 'list show revoke'
complete -c taltun-hub -n '__fish_seen_subcommand_from node' -l all -d 'revoked ones too'
complete -c taltun-hub -n '__fish_seen_subcommand_from policy' -a show
