# SPDX-License-Identifier: GPL-2.0-only
#
# Completion of llamux-agent for fish. tests/cli compares it with --help.

set -l commands ask advise apply explain status history rollback freeze unfreeze goal support model \
    config monitor record replay run
set -l knobs cpu.weight cpu.max cpu.idle memory.high memory.low memory.reclaim io.weight \
    vm.swappiness vm.dirty_ratio vm.watermark_scale_factor
set -l none "not __fish_seen_subcommand_from $commands"

complete -c llamux-agent -f
complete -c llamux-agent -l config -r -F -d "Configuration file"
complete -c llamux-agent -l state-dir -r -F -d "Where the journal is kept"
complete -c llamux-agent -l json -d "Print JSON"
complete -c llamux-agent -s h -l help -d "Print help"

complete -c llamux-agent -n "$none" -a ask -d "Ask a question in words"
complete -c llamux-agent -n "$none" -a advise -d "Look once and suggest"
complete -c llamux-agent -n "$none" -a apply -d "Do what a suggestion says, or try a value"
complete -c llamux-agent -n "$none" -a explain -d "Show why something was suggested"
complete -c llamux-agent -n "$none" -a status -d "Is everything there, and what is in force"
complete -c llamux-agent -n "$none" -a history -d "List what was changed"
complete -c llamux-agent -n "$none" -a rollback -d "Take changes back"
complete -c llamux-agent -n "$none" -a freeze -d "Leave a knob alone"
complete -c llamux-agent -n "$none" -a unfreeze -d "Give a knob back"
complete -c llamux-agent -n "$none" -a goal -d "Say what the machine is for"
complete -c llamux-agent -n "$none" -a support -d "What this machine can and cannot do"
complete -c llamux-agent -n "$none" -a model -d "Fetch, verify and load models"
complete -c llamux-agent -n "$none" -a config -d "Check and show the configuration"
complete -c llamux-agent -n "$none" -a monitor -d "Watch the machine in a terminal"
complete -c llamux-agent -n "$none" -a record -d "Record what the service would see"
complete -c llamux-agent -n "$none" -a replay -d "Decide again on a recording"
complete -c llamux-agent -n "$none" -a run -d "Watch the machine as a service"

set -l in __fish_seen_subcommand_from
complete -c llamux-agent -n "$in ask advise" -l window -x -d "Seconds to look before answering"
complete -c llamux-agent -n "$in advise" -l rules-only -d "Do not ask the model"
complete -c llamux-agent -n "$in apply" -l knob -x -a "$knobs" -d "Knob to try"
complete -c llamux-agent -n "$in apply" -l value -x -d "Its new value"
complete -c llamux-agent -n "$in apply freeze unfreeze" -l group -x -d "Its cgroup"
complete -c llamux-agent -n "$in freeze unfreeze" -a "$knobs"
complete -c llamux-agent -n "$in freeze unfreeze" -l why -x -d "For those who read status later"
complete -c llamux-agent -n "$in history" -l last -x -d "At most this many"
complete -c llamux-agent -n "$in rollback" -l all -d "Everything in force, newest first"
complete -c llamux-agent -n "$in rollback" -l print -d "Only print the commands"
complete -c llamux-agent -n "$in model" -a "list fetch verify load info"
complete -c llamux-agent -n "$in model" -l manifest -r -F -d "Description of the models"
complete -c llamux-agent -n "$in fetch" -l host -x -d "Where from"
complete -c llamux-agent -n "$in load" -F
complete -c llamux-agent -n "$in load" -l chat-template -x -a "plain zephyr chatml llama-2 llama-3" \
    -d "How its prompts are written"
complete -c llamux-agent -n "$in config" -a "check show"
complete -c llamux-agent -n "$in record replay" -F
complete -c llamux-agent -n "$in record" -l seconds -x -d "How long"
complete -c llamux-agent -n "$in replay" -l apply -d "As if acting was on"
complete -c llamux-agent -n "$in run record monitor" -l interval -x -d "Seconds between two looks"
complete -c llamux-agent -n "$in run" -l apply -d "Act on suggestions"
complete -c llamux-agent -n "$in goal" -a "gaming build server battery default"
complete -c llamux-agent -n "$in goal" -l while -x -d "Until this process ends"
complete -c llamux-agent -n "$in goal" -l profiles -r -F -d "Where the profiles are"
complete -c llamux-agent -n "$in goal" -l list -d "List the profiles"
complete -c llamux-agent -n "$in goal" -l yes -d "Do not ask"
complete -c llamux-agent -n "$in goal" -l dry-run -d "Only show"
complete -c llamux-agent -n "$in monitor" -l once -d "Print one look"
complete -c llamux-agent -n "$in monitor" -l replay -r -F -d "Show a recording"
complete -c llamux-agent -n "$in run" -l once -d "One window, then stop"
