# mr_add_service(<name> CORE ... EFFECTS ... LIBS ...): <name>_core (pure), <name>_effects and the executable
# millrace-<name>.
function(mr_add_service name)
  cmake_parse_arguments(ARG "" "" "CORE;EFFECTS;LIBS" ${ARGN})
  mr_add_core(${name}_core SOURCES ${ARG_CORE})
  add_library(${name}_effects STATIC ${ARG_EFFECTS})
  target_link_libraries(${name}_effects PUBLIC ${name}_core mr_stage ${ARG_LIBS} PRIVATE mr_options)
  add_executable(millrace-${name} main.c)
  target_link_libraries(millrace-${name} PRIVATE ${name}_effects mr_options)
endfunction()

# mr_add_core(<target> SOURCES ... [LIBS ...]): pure code, checked by cmake/check_pure.sh.
function(mr_add_core target)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${target} STATIC ${ARG_SOURCES})
  target_include_directories(${target} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${target} PUBLIC mr_base ${ARG_LIBS} PRIVATE mr_options)
  set_property(GLOBAL APPEND PROPERTY MR_PURE_LIBS ${target})
endfunction()
