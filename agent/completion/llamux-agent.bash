# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of llamux-agent for bash. tests/cli compares it with --help.

_llamux_agent() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local words="" command="" word
    local knobs="cpu.weight cpu.max cpu.idle memory.high memory.low memory.reclaim io.weight
        vm.swappiness vm.dirty_ratio vm.watermark_scale_factor"
    case $before in
        --config | --manifest | --replay) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --state-dir | --profiles) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --knob) words=$knobs ;;
        --chat-template) words="plain zephyr chatml llama-2 llama-3" ;;
        --group | --value | --window | --interval | --seconds | --while | --last | --why | --host) return ;;
    esac
    # The command: the words that are no option and no option's argument.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            ask | advise | apply | explain | status | history | rollback | freeze | unfreeze | \
                goal | support | monitor | record | replay | run | model | config) [ -n "$command" ] || command=$word ;;
            list | fetch | verify | load | info) [ "$command" = model ] && command="model $word" ;;
            check | show) [ "$command" = config ] && command="config $word" ;;
        esac
    done
    if [ -z "$words" ]; then
        case $command in
            "") words="ask advise apply explain status history rollback freeze unfreeze goal support
                monitor record replay run model config --config --state-dir" ;;
            ask) words="--window" ;;
            advise) words="--window --rules-only" ;;
            apply) words="--knob --group --value" ;;
            history) words="--last" ;;
            rollback) words="--all --print" ;;
            freeze | unfreeze) words="$knobs --group --why" ;;
            goal) words="gaming build server battery default --while --profiles --list --yes
                --dry-run" ;;
            monitor) words="--interval --once --replay" ;;
            record) words="--interval --seconds" ;;
            replay) words="--apply" ;;
            run) words="--interval --apply --once" ;;
            model) words="list fetch verify load info --manifest" ;;
            "model fetch") words="--host" ;;
            "model load") words="--chat-template" ;;
            config) words="check show" ;;
        esac
        words="$words --json --help"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    if [[ $command == @("model load"|record|replay) ]]; then
        local files
        mapfile -t files < <(compgen -f -- "$current")
        COMPREPLY+=("${files[@]}")
    fi
}
complete -F _llamux_agent llamux-agent
