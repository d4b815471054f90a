# mr_add_schemas(<target> ROOT <dir> FILES <relative .proto files>): C code of every schema, by protoc-c.
function(mr_add_schemas target)
  cmake_parse_arguments(ARG "" "ROOT" "FILES" ${ARGN})
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  set(sources "")
  list(TRANSFORM ARG_FILES PREPEND ${ARG_ROOT}/ OUTPUT_VARIABLE inputs)
  foreach(file ${ARG_FILES})
    string(REGEX REPLACE "\\.proto$" "" stem ${file})
    add_custom_command(
      OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
      COMMAND ${MR_PROTOC_C} -I ${ARG_ROOT} --c_out=${out} ${file}
      DEPENDS ${inputs} VERBATIM)
    list(APPEND sources ${out}/${stem}.pb-c.c)
  endforeach()
  # Generated code is not ours to warn about.
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "-w")
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUF_C PRIVATE mr_options)
endfunction()
