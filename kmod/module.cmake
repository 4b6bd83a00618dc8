# SPDX-License-Identifier: GPL-2.0-only
#
# llamux.ko for each Debian kernel whose headers are installed. The sources are
# mirrored as symbolic links into build/kmod/RELEASE and kbuild runs there, so
# that the source tree stays clean.

# A rule for build/kmod/NAME/llamux.ko, for the kernel of HEADERS. More
# arguments: what it depends on besides the sources.
function(llamux_add_module name headers)
  set(source ${PROJECT_SOURCE_DIR}/kmod)
  set(mirror ${PROJECT_BINARY_DIR}/kmod/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS
    ${source}/*.c ${source}/*.h ${source}/Kbuild ${PROJECT_SOURCE_DIR}/include/*.h)
  add_custom_command(
    OUTPUT ${mirror}/llamux.ko
    COMMAND ${source}/build-module ${headers} ${mirror} $<$<BOOL:${LLAMUX_WERROR}>:-Werror>
    DEPENDS ${sources} ${source}/build-module ${ARGN}
    COMMENT "Building llamux.ko for Linux ${name}"
    JOB_POOL console
    VERBATIM COMMAND_EXPAND_LISTS)
endfunction()

file(GLOB kernel_headers CONFIGURE_DEPENDS /lib/modules/*/build)
set(kernel_modules)
foreach(headers IN LISTS kernel_headers)
  cmake_path(GET headers PARENT_PATH release_dir)
  cmake_path(GET release_dir FILENAME release)
  if(NOT release MATCHES "^6\\.(1|12)\\.")
    continue()
  endif()
  llamux_add_module(${release} ${headers})
  list(APPEND kernel_modules ${CMAKE_CURRENT_BINARY_DIR}/${release}/llamux.ko)
endforeach()
if(NOT kernel_modules)
  message(WARNING "llamux.ko: no kernel headers for Linux 6.1 or 6.12 below /lib/modules")
endif()
if(LLAMUX_SANITIZE)
  # The sanitizers are for the user-space build of the same files.
  add_custom_target(kmod DEPENDS ${kernel_modules})
else()
  add_custom_target(kmod ALL DEPENDS ${kernel_modules})
endif()
