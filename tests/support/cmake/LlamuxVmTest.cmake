# SPDX-License-Identifier: GPL-2.0-only
#
# Registration of tests that run inside a guest kernel (see tests/vm/run-vm).
#
#   llamux_add_vm_test(NAME smoke COMMAND prog arg...
#                      [KERNELS 6.1 6.12] [LABELS ...] [TIMEOUT seconds])
#
# makes one ctest case vm.<kernel>.<name> for each kernel. All cases of one
# kernel share one boot: a fixture (vm.<kernel>.boot) runs every registered
# command in turn and stores each output, exit status and kernel log; the case
# only reports what was stored for it. COMMAND is executed as root with the
# repository at its own path, so use absolute paths; its working directory is
# the source root. A target name as first word is replaced by its binary.
#
# KERNELS may also name uml, the User Mode Linux of tests/vm/uml. Its cases have
# the label uml instead of vm, and are registered only if LLAMUX_UML is on. The
# same for 6.1-systemd and 6.12-systemd, whose process 1 is systemd: label and
# option are agent-vm and LLAMUX_AGENT_VM.

set_property(GLOBAL PROPERTY LLAMUX_VM_KERNELS 6.1 6.12 6.1-systemd 6.12-systemd uml)

function(llamux_add_vm_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT" "COMMAND;KERNELS;LABELS")
  if(NOT arg_NAME OR NOT arg_COMMAND)
    message(FATAL_ERROR "llamux_add_vm_test: NAME and COMMAND are required")
  endif()
  if(NOT arg_NAME MATCHES "^[a-z0-9_-]+$")
    message(FATAL_ERROR "llamux_add_vm_test: NAME ${arg_NAME}: use [a-z0-9_-]")
  endif()
  if(NOT LLAMUX_VM_TESTS OR NOT LLAMUX_TESTS)
    return()
  endif()
  get_property(known GLOBAL PROPERTY LLAMUX_VM_KERNELS)
  if(NOT arg_KERNELS)
    set(arg_KERNELS 6.1 6.12)
  endif()
  if(NOT LLAMUX_UML)
    list(REMOVE_ITEM arg_KERNELS uml)
  endif()
  if(NOT LLAMUX_AGENT_VM)
    list(REMOVE_ITEM arg_KERNELS 6.1-systemd 6.12-systemd)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()

  list(POP_FRONT arg_COMMAND program)
  if(TARGET ${program})
    set(program $<TARGET_FILE:${program}>)
  endif()
  set(line "${arg_NAME}\t${arg_TIMEOUT}\t'${program}'")
  foreach(word IN LISTS arg_COMMAND)
    string(REPLACE "'" "'\\''" word "${word}")
    string(APPEND line " '${word}'")
  endforeach()

  foreach(kernel IN LISTS arg_KERNELS)
    if(NOT kernel IN_LIST known)
      message(FATAL_ERROR "llamux_add_vm_test: unknown kernel ${kernel}")
    endif()
    llamux_vm_label(${kernel} label)
    set_property(GLOBAL APPEND_STRING PROPERTY LLAMUX_VM_SUITE_${kernel} "${line}\n")
    get_property(seconds GLOBAL PROPERTY LLAMUX_VM_SECONDS_${kernel})
    if(NOT seconds)
      set(seconds 600) # BOOT_SECONDS of guest.py
    endif()
    math(EXPR seconds "${seconds} + ${arg_TIMEOUT} + 90") # + a reboot after a panic
    set_property(GLOBAL PROPERTY LLAMUX_VM_SECONDS_${kernel} ${seconds})

    add_test(NAME vm.${kernel}.${arg_NAME}
             COMMAND ${PROJECT_SOURCE_DIR}/tests/vm/run-suite --build ${PROJECT_BINARY_DIR}
                     --kernel ${kernel} --report ${arg_NAME})
    set_tests_properties(vm.${kernel}.${arg_NAME} PROPERTIES
      FIXTURES_REQUIRED vm-${kernel} LABELS "${label};${arg_LABELS}" TIMEOUT 30)
  endforeach()
endfunction()

function(llamux_vm_label kernel label)
  if(kernel STREQUAL "uml")
    set(${label} uml PARENT_SCOPE)
  elseif(kernel MATCHES "-systemd$")
    set(${label} agent-vm PARENT_SCOPE)
  else()
    set(${label} vm PARENT_SCOPE)
  endif()
endfunction()

# Writes the suites and adds the fixtures; called once, after all registrations.
function(llamux_finish_vm_tests)
  get_property(known GLOBAL PROPERTY LLAMUX_VM_KERNELS)
  foreach(kernel IN LISTS known)
    get_property(suite GLOBAL PROPERTY LLAMUX_VM_SUITE_${kernel})
    if(NOT suite)
      continue()
    endif()
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/vm/suite-${kernel}.list CONTENT "${suite}")
    get_property(seconds GLOBAL PROPERTY LLAMUX_VM_SECONDS_${kernel})
    llamux_vm_label(${kernel} label)
    add_test(NAME vm.${kernel}.boot
             COMMAND ${PROJECT_SOURCE_DIR}/tests/vm/run-suite --build ${PROJECT_BINARY_DIR}
                     --kernel ${kernel})
    # One guest at a time, and nothing beside it: it has two CPUs of its own.
    set_tests_properties(vm.${kernel}.boot PROPERTIES
      FIXTURES_SETUP vm-${kernel} LABELS ${label} RESOURCE_LOCK qemu PROCESSORS 2 TIMEOUT ${seconds})
  endforeach()
endfunction()
