# bash completion for pvpn
_pvpn() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= w
    for w in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $w in
            init|connect|c|disconnect|d|status|s|list|killswitch|check|doctor|logout|help) cmd=$w; break ;;
        esac
    done
    case $cmd:$prev in
        init:--proton-login) COMPREPLY=($(compgen -W 'password code' -- "$cur")); return ;;
        init:--qb-enable) COMPREPLY=($(compgen -W 'true false' -- "$cur")); return ;;
        init:--ks-default) COMPREPLY=($(compgen -W 'true false' -- "$cur")); return ;;
        init:--dns-default) COMPREPLY=($(compgen -W 'true false' -- "$cur")); return ;;
        connect:--provider|c:--provider) COMPREPLY=($(compgen -W 'proton pia file' -- "$cur")); return ;;
        connect:-f|connect:--fastest|c:-f|c:--fastest) COMPREPLY=($(compgen -W 'ping api' -- "$cur")); return ;;
        connect:--dns|c:--dns) COMPREPLY=($(compgen -W 'true false' -- "$cur")); return ;;
        connect:--ks|c:--ks) COMPREPLY=($(compgen -W 'true false' -- "$cur")); return ;;
        disconnect:--ks|d:--ks) COMPREPLY=($(compgen -W 'true false' -- "$cur")); return ;;
        list:--provider) COMPREPLY=($(compgen -W 'proton pia file' -- "$cur")); return ;;
        list:-f|list:--fastest) COMPREPLY=($(compgen -W 'ping api' -- "$cur")); return ;;
        logout:--provider) COMPREPLY=($(compgen -W 'proton pia' -- "$cur")); return ;;
        *:--session-dir) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        *:--bundle) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        *:--config-dir) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    esac
    case $cmd in
        init) w='--proton --pia --qb --network --proton-login --proton-user --proton-pass --proton-2fa --wireguard-port --session-dir --pia-user --pia-pass --pia-region --qb-enable --qb-url --qb-user --qb-pass --qb-api-key --ks-default --dns-default --threshold-default --lan --non-interactive --config-dir -v --verbose -q --quiet -h --help' ;;
        connect|c) w='--provider -c --cc --country --city --sc --securecore --p2p -f --fastest -t --threshold -l --latency-cutoff --dns --ks --server --foreground --yes --config-dir -v --verbose -q --quiet -h --help' ;;
        disconnect|d) w='--ks --config-dir -v --verbose -q --quiet -h --help' ;;
        status|s) w='--json --check --config-dir -v --verbose -q --quiet -h --help' ;;
        list) w='--provider -c --cc --country --city --sc --securecore --p2p -f --fastest -t --threshold --json --config-dir -v --verbose -q --quiet -h --help' ;;
        killswitch) w='on off status --yes --config-dir -v --verbose -q --quiet -h --help' ;;
        check) w='--json --drop --yes --config-dir -v --verbose -q --quiet -h --help' ;;
        doctor) w='--bundle --config-dir -v --verbose -q --quiet -h --help' ;;
        logout) w='--provider --config-dir -v --verbose -q --quiet -h --help' ;;
        help) w='init connect disconnect status list killswitch check doctor logout help' ;;
        *) w='init connect disconnect status list killswitch check doctor logout help --config-dir -v --verbose -q --quiet -h --help --version' ;;
    esac
    COMPREPLY=($(compgen -W "$w" -- "$cur"))
}
complete -F _pvpn pvpn
