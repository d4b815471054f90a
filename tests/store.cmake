mr_add_test(store_file LABEL unit SOURCES unit/store_file_test.c support/store_conformance.c LIBS mr_store)
mr_add_test(store_folder LABEL unit SOURCES unit/store_folder_test.c LIBS mr_store)
mr_add_test(store_sync LABEL unit SOURCES unit/store_sync_test.c LIBS mr_store)
mr_add_test(store_race LABEL integration SOURCES unit/store_race_test.c support/store_races.c LIBS mr_store)
mr_add_test(versions LABEL unit SOURCES unit/versions_test.c support/memory_store.c LIBS mr_store m)
mr_add_test(verify_flips LABEL property
  SOURCES property/verify_flips_test.c support/version_maker.c support/memory_store.c LIBS mr_store)
# Large stores, for benchmarks and by hand.
add_executable(mr_store_make support/store_make.c support/version_maker.c)
set_target_properties(mr_store_make PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_include_directories(mr_store_make PRIVATE ${PROJECT_SOURCE_DIR}/libshared/store)
target_link_libraries(mr_store_make PRIVATE mr_store mr_options)
mr_add_test(gc LABEL unit SOURCES unit/gc_test.c support/chain.c support/memory_store.c support/stepped_store.c
  LIBS mr_store)
mr_add_test(s3_outcome LABEL unit SOURCES unit/s3_outcome_test.c LIBS mr_store)
mr_add_test(s3_sign LABEL unit SOURCES unit/s3_sign_test.c LIBS mr_store)
mr_add_test(s3_text LABEL unit SOURCES unit/s3_text_test.c LIBS mr_store)
mr_add_test(s3_xml LABEL unit SOURCES unit/s3_xml_test.c LIBS mr_store)
mr_add_test(s3_settings LABEL unit SOURCES unit/s3_settings_test.c LIBS mr_store)
mr_add_test(s3_faults LABEL integration SOURCES integration/s3_faults_test.c support/fault_server.c LIBS mr_store)
mr_add_test(doctor_judge LABEL unit SOURCES unit/doctor_judge_test.c LIBS mr_store)
mr_add_test(store_doctor LABEL integration SOURCES integration/store_doctor_test.c support/bad_s3.c
  LIBS mr_store PkgConfig::MICROHTTPD)
set_tests_properties(integration.store_doctor PROPERTIES ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR}")
# On Ceph's RADOS Gateway, from Debian: each test starts its own.
mr_add_test(s3_store LABEL s3 SOURCES s3/s3_store_test.c support/store_conformance.c support/store_races.c
  support/fault_server.c support/rgw_environment.c LIBS mr_store
  TIMEOUT 600 UNDER ${CMAKE_CURRENT_SOURCE_DIR}/s3/with_rgw.sh)
add_test(NAME s3.verify COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/s3/with_rgw.sh
  ${CMAKE_CURRENT_SOURCE_DIR}/s3/verify_test.sh ${MR_BIN_DIR} $<TARGET_FILE:mr_store_make>)
set_tests_properties(s3.verify PROPERTIES LABELS s3 TIMEOUT 300)
# libFuzzer comes with clang; run it by hand or from a scheduled job: tests/s3_parsers_fuzz <corpus>.
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  foreach(fuzz s3_parsers gc_applied)
    add_executable(${fuzz}_fuzz EXCLUDE_FROM_ALL fuzz/${fuzz}_fuzz.c)
    set_target_properties(${fuzz}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_compile_options(${fuzz}_fuzz PRIVATE -fsanitize=fuzzer)
    target_link_options(${fuzz}_fuzz PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${fuzz}_fuzz PRIVATE mr_store mr_options)
  endforeach()
endif()
