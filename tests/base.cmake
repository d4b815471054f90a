mr_add_test(base_bytes LABEL unit SOURCES unit/base_bytes_test.c LIBS mr_base)
mr_add_test(base_arena LABEL unit SOURCES unit/base_arena_test.c LIBS mr_base)
mr_add_test(base_hashes LABEL unit SOURCES unit/base_hashes_test.c LIBS mr_base)
mr_add_test(base_retry LABEL unit SOURCES unit/base_retry_test.c LIBS mr_base)
mr_add_test(base_hash LABEL unit SOURCES unit/base_hash_test.c LIBS mr_io)
mr_add_test(base_config LABEL unit SOURCES unit/base_config_test.c LIBS mr_io)
mr_add_test(base_trace LABEL unit SOURCES unit/base_trace_test.c LIBS mr_io PkgConfig::JANSSON)
mr_add_test(base_metrics LABEL unit SOURCES unit/base_metrics_test.c LIBS mr_io)
mr_add_test(base_health LABEL unit SOURCES unit/base_health_test.c LIBS mr_io)
mr_add_test(base_work LABEL unit SOURCES unit/base_work_test.c LIBS mr_io)
mr_add_test(base_growth LABEL property SOURCES property/base_growth_test.c LIBS mr_base)
mr_add_test(base_texts LABEL property SOURCES property/base_texts_test.c
  LIBS mr_io PkgConfig::RDKAFKA PkgConfig::JANSSON)

# A sanitizer adds calls of its own to mr_base.
if(NOT MR_SANITIZE)
  add_test(NAME style.check_pure_catches
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/unit/base_check_pure_test.sh ${PROJECT_SOURCE_DIR}/cmake/check_pure.sh
            ${CMAKE_C_COMPILER} $<TARGET_FILE:mr_base> ${PROJECT_SOURCE_DIR}/libshared/include)
  set_tests_properties(style.check_pure_catches PROPERTIES LABELS style)
endif()
