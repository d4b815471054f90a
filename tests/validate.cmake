mr_add_test(validate_decide LABEL unit SOURCES unit/validate_decide_test.c LIBS validate_core)
mr_add_test(validate_total LABEL property SOURCES property/validate_total_test.c LIBS validate_core)
mr_add_test(validate_codec LABEL unit SOURCES unit/validate_codec_test.c support/submitted.c
  LIBS validate_effects)
mr_add_test(validate_stage LABEL unit
  SOURCES unit/validate_stage_test.c support/scripted_store.c support/service_rig.c support/stamped.c
    support/submitted.c
  LIBS validate_effects)

# libFuzzer comes with clang; run it by hand or from a scheduled job: tests/validate_codec_fuzz <corpus>.
if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND NOT MR_SANITIZE)
  add_executable(validate_codec_fuzz EXCLUDE_FROM_ALL fuzz/validate_codec_fuzz.c)
  set_target_properties(validate_codec_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_options(validate_codec_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_options(validate_codec_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(validate_codec_fuzz PRIVATE validate_effects mr_options)
endif()
