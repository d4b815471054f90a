mr_add_test(ingest_decide LABEL unit SOURCES unit/ingest_decide_test.c LIBS ingest_core)
mr_add_test(ingest_total LABEL property SOURCES property/ingest_total_test.c LIBS ingest_core)
mr_add_test(ingest_codec LABEL unit SOURCES unit/ingest_codec_test.c support/submitted.c LIBS ingest_effects)
mr_add_test(ingest_fold LABEL property SOURCES property/ingest_fold_test.c LIBS ingest_effects)
mr_add_test(ingest_stage LABEL unit
  SOURCES unit/ingest_stage_test.c support/service_rig.c support/stamped.c support/submitted.c LIBS ingest_effects)

# libFuzzer comes with clang; run it by hand or from a scheduled job: tests/ingest_codec_fuzz <corpus>.
if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND NOT MR_SANITIZE)
  add_executable(ingest_codec_fuzz EXCLUDE_FROM_ALL fuzz/ingest_codec_fuzz.c)
  set_target_properties(ingest_codec_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_options(ingest_codec_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_options(ingest_codec_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(ingest_codec_fuzz PRIVATE ingest_effects mr_options)
endif()
