# SPDX-License-Identifier: GPL-2.0-only
#
# llamux.ko for each Debian kernel whose headers are installed. The sources are
# mirrored as symbolic links into build/kmod/RELEASE and kbuild runs there, so
# that the source tree stays clean.

file(GLOB_RECURSE kmod_sources CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_SOURCE_DIR}/*.c ${CMAKE_CURRENT_SOURCE_DIR}/*.h
  ${CMAKE_CURRENT_SOURCE_DIR}/Kbuild ${PROJECT_SOURCE_DIR}/include/*.h)
file(GLOB kernel_headers CONFIGURE_DEPENDS /lib/modules/*/build)
set(kernel_modules)
foreach(headers IN LISTS kernel_headers)
  cmake_path(GET headers PARENT_PATH release_dir)
  cmake_path(GET release_dir FILENAME release)
  if(NOT release MATCHES "^6\\.(1|12)\\.")
    continue()
  endif()
  set(mirror ${CMAKE_CURRENT_BINARY_DIR}/${release})
  add_custom_command(
    OUTPUT ${mirror}/llamux.ko
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/build-module ${headers} ${mirror} $<$<BOOL:${LLAMUX_WERROR}>:-Werror>
    DEPENDS ${kmod_sources} ${CMAKE_CURRENT_SOURCE_DIR}/build-module
    COMMENT "Building llamux.ko for Linux ${release}"
    JOB_POOL console
    VERBATIM COMMAND_EXPAND_LISTS)
  list(APPEND kernel_modules ${mirror}/llamux.ko)
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
